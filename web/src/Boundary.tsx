import { Component, type ReactNode } from "react";
import type { Texts } from "./texts";

type Props = { text: Texts; frame: (message: ReactNode) => ReactNode; children: ReactNode };

// One part of the page: an error while it is drawn is reported in its place, and everything around it continues.
export class Boundary extends Component<Props, { failed: boolean }> {
  override state = { failed: false };

  static getDerivedStateFromError() {
    return { failed: true };
  }

  override render() {
    const { text, frame, children } = this.props;
    if (!this.state.failed) return children;
    return frame(
      <div className="broken" data-testid="broken">
        <p role="alert" className="problem">
          {text.broken}
        </p>
        <button type="button" className="second" data-testid="retry" onClick={() => this.setState({ failed: false })}>
          {text.retry}
        </button>
      </div>,
    );
  }
}
