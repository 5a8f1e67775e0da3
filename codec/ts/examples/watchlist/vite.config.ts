import { defineConfig } from 'vite';

// The package is a link here, to a folder whose own tests have a React too.
export default defineConfig({
  esbuild: { jsx: 'automatic' },
  resolve: { dedupe: ['react', 'react-dom'] },
  server: { fs: { allow: ['../..'] } },
  build: { target: 'es2022' },
});
