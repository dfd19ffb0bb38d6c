/** Where we differ from nginx 1.22 or HAProxy 2.6 on purpose. */
export interface Difference {
  readonly why: string;
  readonly we: 'forward' | 'refuse';
  /** Names of odd requests; `…, to a session` if only such a one differs. */
  readonly requests: readonly string[];
}

/** Every difference; one that is not listed here fails the comparison. */
export const DIFFERENCES: readonly Difference[] = [
  {
    why: 'Bodies where none belongs are how two parsers are made to disagree; no Socket.IO client sends them.',
    we: 'refuse',
    requests: [
      'DELETE with a body, to a session',
      'DELETE in chunks, to a session',
      'OPTIONS in chunks that hide a request',
      'GET with a body that hides a request',
      'HEAD with a body that hides a request',
      'GET in chunks',
      'a WebSocket handshake with a body that hides a request',
      'a WebSocket handshake in chunks',
    ],
  },
  {
    why: 'TRACE echoes secrets, CONNECT asks for a tunnel to anywhere, and Node knows no other methods than the registered ones.',
    we: 'refuse',
    requests: ['TRACE', 'CONNECT', 'a method nobody knows', 'a method in lower case'],
  },
  {
    why: 'HTTP 1.0 and 1.1 is what is spoken here, and chunks are not part of 1.0.',
    we: 'refuse',
    requests: ['HTTP/0.9', 'HTTP/1.0 in chunks', 'HTTP/1.2', 'HTTP/2.0', 'HTTP/3.7'],
  },
  {
    why: 'Only forward proxies are sent absolute targets, and an authority that differs from Host is one too many.',
    we: 'refuse',
    requests: ['an absolute target', 'an absolute target of another host', 'OPTIONS *', 'GET *'],
  },
  {
    why: 'Servers read these paths differently, and routes are matched by prefix.',
    we: 'refuse',
    requests: [
      'a target of two slashes',
      'a backslash',
      'a fragment',
      'dot segments',
      'dot segments above the root',
      'encoded dot segments',
      'dot segments between encoded slashes',
      'dot segments with a parameter',
      'an encoded NUL',
      'a percent sign that encodes nothing',
      'bytes above ASCII in the target',
    ],
  },
  {
    why: 'Lines end with CR LF and nothing else, and have one space where one belongs (RFC 9112 sections 2.2 and 3).',
    we: 'refuse',
    requests: [
      'bare line feeds',
      'a bare line feed behind one header line',
      'a header that ends with CR LF LF',
      'a space behind the version',
      'tabs in the start line',
      'a folded value',
      'Transfer-Encoding: "\\r\\n chunked"',
    ],
  },
  {
    why: 'One valid Host (RFC 9112 section 3.2): virtual hosts and origin checks of upstreams depend on it.',
    we: 'refuse',
    requests: [
      'no Host',
      'an empty Host',
      'two equal Hosts',
      'a Host with a path',
      'a Host with a user',
      'a Host with a space',
      'a Host of two names',
      'a Host with letters as port',
      'a Host with a port above 65535',
      'a Host in broken brackets',
      'a Host of bytes above ASCII',
      'a Host with two dots',
    ],
  },
  {
    why: 'Names are tokens, values have no control characters (RFC 9110 sections 5.1 and 5.5).',
    we: 'refuse',
    requests: [
      'brackets in a name',
      'bytes above ASCII in a name',
      'a NUL in a value',
      'a control character in a value',
    ],
  },
  {
    why: 'A hundred lines are enough for anyone; nginx counts bytes.',
    we: 'refuse',
    requests: ['150 header lines'],
  },
  {
    why: 'One unambiguous length, or chunks, never both (RFC 9112 section 6.3).',
    we: 'refuse',
    requests: [
      'Content-Length: "5, 5"',
      'Transfer-Encoding: "chunked,"',
      'a length before chunks',
      'chunks before a length',
      'a short length and chunks that hide a request',
      'the length twice',
    ],
  },
  {
    why: 'A tab is white space before a value like any other (RFC 9110 section 5.6.3); upstreams get it normalised.',
    we: 'forward',
    requests: ['Transfer-Encoding: "\\tchunked"'],
  },
  {
    why: 'Chunk sizes and trailers are read to the letter; laxness there has hidden requests before.',
    we: 'refuse',
    requests: [
      'a space behind a chunk size',
      'a chunk extension that hides a request',
      'a line feed behind a chunk size',
      'trailers that frame and route',
      'a last chunk without an end of trailers',
      'a chunk extension of 20 KB',
    ],
  },
  {
    why: 'An expectation that cannot be met is answered 417 (RFC 9110 section 10.1.1).',
    we: 'refuse',
    requests: ['an expectation nobody knows'],
  },
  {
    why: 'What asks for an upgrade gets a WebSocket or an error; the handshake is checked as RFC 6455 section 4.2.1 says.',
    we: 'refuse',
    requests: [
      'a WebSocket handshake without key',
      'a WebSocket handshake with two keys',
      'a WebSocket handshake with a short key',
      'a WebSocket handshake of version 99',
      'a WebSocket handshake by POST',
      'a WebSocket handshake on HTTP/1.0',
    ],
  },
];
