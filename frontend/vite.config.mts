import react from "@vitejs/plugin-react";
import { defineConfig } from "vitest/config";

const API = process.env.BITWATT_API ?? "http://127.0.0.1:8000";

export default defineConfig({
  root: import.meta.dirname,
  plugins: [react()],
  build: { target: "es2022", assetsInlineLimit: 0, modulePreload: { polyfill: false }, reportCompressedSize: false },
  server: { proxy: { "/api": API, "/health": API } },
  test: { include: ["tests/**/*.test.ts"], environment: "node" },
});
