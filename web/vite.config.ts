import { defineConfig } from "vitest/config";

// What Airflow's own page has loaded already, by the name under which it gives it to plugins.
const ofTheHost = {
  "@chakra-ui/react": "ChakraUI",
  react: "React",
  "react-dom": "ReactDOM",
  "react/jsx-runtime": "ReactJSXRuntime",
  "react-router-dom": "ReactRouterDOM",
};

export default defineConfig({
  build: {
    emptyOutDir: false,
    lib: { entry: "src/main.tsx", formats: ["iife"], name: "TradewindDesk", fileName: () => "desk.js" },
    outDir: "../src/tradewind/orchestration/runtime/page/assets",
    rollupOptions: { external: Object.keys(ofTheHost), output: { globals: ofTheHost } },
    target: "es2022",
  },
  test: { environment: "jsdom", include: ["test/**/*.test.ts?(x)"] },
});
