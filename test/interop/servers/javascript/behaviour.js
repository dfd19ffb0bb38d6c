import { createServer } from 'node:http';

/** Says something about a client, for the driver to read. */
export function say(event) {
  process.stdout.write(`${JSON.stringify(event)}\n`);
}

/** Listens, says that it serves, and ends with standard input. */
export function serve(attach, port, name) {
  const server = createServer((_request, response) => {
    response.writeHead(404).end();
  });
  attach(server);
  server.listen(port, '127.0.0.1', () => process.stdout.write(`ready ${name}\n`));
  process.stdin.on('end', () => process.exit()).resume();
}
