"""Files of a machine image that neither a package nor a role brings, as the stack file declares them."""

from typing import Annotated, Literal

from pydantic import Field, model_validator

from classroom.sovereignty.facts import Record


class ImageFile(Record):
    """One file, folder or link of the image: with `sha256` a file, with `link` a link, with neither a folder."""

    path: Annotated[str, Field(pattern=r"^(/[^/]+)+$", description="Absolute path.")]
    sha256: Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")] | None = Field(
        default=None, description="Digest of the file's contents."
    )
    link: str | None = Field(default=None, description="Target of a symbolic link.")
    mode: Annotated[str, Field(pattern=r"^[0-7]{4}$")] = Field(default="0644", description="Octal mode.")
    reason: str = Field(min_length=3, description="What the file is for.")

    @model_validator(mode="after")
    def _one_kind(self) -> "ImageFile":
        if self.sha256 is not None and self.link is not None:
            raise ValueError(f"{self.path} has both sha256 and link; set one")
        if int(self.mode, 8) & 0o6002 and self.link is None:
            raise ValueError(
                f"{self.path} has mode {self.mode}; setuid, setgid and world-writable files cannot be declared"
            )
        return self

    @property
    def kind(self) -> Literal["f", "d", "l"]:
        """Return f, d or l: file, folder or link."""
        return "f" if self.sha256 is not None else "l" if self.link is not None else "d"
