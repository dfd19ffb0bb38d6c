// node test/interop/run.js [--only a,b] [--without a,b]: servers and clients of every language.
import { createViteServer } from 'vitest/node';

const server = await createViteServer({
  configFile: false,
  root: import.meta.dirname,
  appType: 'custom',
  logLevel: 'error',
  optimizeDeps: { noDiscovery: true },
  server: { middlewareMode: true, hmr: false, ws: false, watch: null },
});
try {
  const { main } = await server.ssrLoadModule('./matrix/main.ts');
  process.exitCode = await main(process.argv.slice(2));
} finally {
  await server.close();
}
