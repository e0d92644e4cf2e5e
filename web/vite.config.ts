import { defineConfig } from "vite";

export default defineConfig({
  // The page contains no inline script or style, so that its content security policy can forbid both.
  build: { target: "es2022", assetsInlineLimit: 0, modulePreload: { polyfill: false }, chunkSizeWarningLimit: 900 },
  esbuild: { jsx: "automatic" },
});
