import { defineConfig } from 'vite';

export default defineConfig({
  esbuild: { jsx: 'automatic' },
  resolve: { dedupe: ['react', 'react-dom'] }, // the package is a link here, and its own tests have a React too
  build: { target: 'es2022' },
});
