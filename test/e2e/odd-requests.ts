/** Bytes that no well-meaning client sends, and some that one might. */
export interface OddRequest {
  readonly name: string;
  /**
   * `{target}` stands for an ordinary target: such a request is sent to every kind of route.
   * `/smuggled` is the target of a request that only a parser gone wrong sees.
   */
  readonly bytes: string;
  /** How many requests a strict reader finds in it. Default 1. */
  readonly holds?: number;
  /**
   * What comes behind the first request closes the connection; whether that one has got through by
   * then is a matter of timing.
   */
  readonly raced?: boolean;
  /** The request never ends: only a time limit ends the connection. */
  readonly endless?: boolean;
}

/** A request of start line, header lines and body. */
function http(start: string, lines: readonly string[] = ['Host: a'], body = ''): string {
  return `${[start, ...lines].join('\r\n')}\r\n\r\n${body}`;
}

const GET = 'GET {target} HTTP/1.1';
const POST = 'POST {target} HTTP/1.1';
const SMUGGLED = http('GET /smuggled HTTP/1.1');
const KEY = 'Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==';
const WEBSOCKET = [
  'Host: a',
  'Connection: Upgrade',
  'Upgrade: websocket',
  'Sec-WebSocket-Version: 13',
];

const get = (...lines: string[]): string => http(GET, ['Host: a', ...lines]);
const target = (text: string): string => http(`GET ${text} HTTP/1.1`);
const hosts = (...values: string[]): string =>
  http(
    GET,
    values.map((value) => `Host: ${value}`),
  );
const fill = (count: number): string[] =>
  Array.from({ length: count }, (_, i) => `X-${String(i)}: 1`);
/** A POST framed in some way, with a body that reads as chunks of "hello" and as 15 bytes. */
const framed = (...lines: string[]): string =>
  http(POST, ['Host: a', ...lines], `5\r\nhello\r\n0\r\n\r\n`);
/** A chunked POST with this body, and behind it what must stay body or be refused. */
const chunks = (body: string): string =>
  http(POST, ['Host: a', 'Transfer-Encoding: chunked'], body);

const methods: OddRequest[] = [
  { name: 'GET', bytes: http(GET) },
  { name: 'HEAD', bytes: http('HEAD {target} HTTP/1.1') },
  { name: 'OPTIONS', bytes: http('OPTIONS {target} HTTP/1.1') },
  { name: 'POST without a body', bytes: http(POST, ['Host: a', 'Content-Length: 0']) },
  { name: 'POST with neither length nor chunks', bytes: http(POST) },
  { name: 'POST with a length', bytes: http(POST, ['Host: a', 'Content-Length: 5'], 'hello') },
  { name: 'POST in chunks', bytes: framed('Transfer-Encoding: chunked') },
  { name: 'PUT', bytes: http('PUT /odd HTTP/1.1', ['Host: a', 'Content-Length: 5'], 'hello') },
  { name: 'PATCH', bytes: http('PATCH /odd HTTP/1.1', ['Host: a', 'Content-Length: 5'], 'hello') },
  {
    name: 'DELETE with a body',
    bytes: http('DELETE {target} HTTP/1.1', ['Host: a', 'Content-Length: 5'], 'hello'),
  },
  {
    name: 'DELETE in chunks',
    bytes: http('DELETE {target} HTTP/1.1', ['Host: a', 'Transfer-Encoding: chunked'], `0\r\n\r\n`),
  },
  {
    name: 'OPTIONS in chunks that hide a request',
    bytes: http(
      'OPTIONS {target} HTTP/1.1',
      ['Host: a', 'Transfer-Encoding: chunked'],
      `${SMUGGLED.length.toString(16)}\r\n${SMUGGLED}\r\n0\r\n\r\n`,
    ),
  },
  {
    name: 'GET with a body that hides a request',
    bytes: http(GET, ['Host: a', `Content-Length: ${String(SMUGGLED.length)}`], SMUGGLED),
  },
  {
    name: 'HEAD with a body that hides a request',
    bytes: http(
      'HEAD {target} HTTP/1.1',
      ['Host: a', `Content-Length: ${String(SMUGGLED.length)}`],
      SMUGGLED,
    ),
  },
  {
    name: 'GET in chunks',
    bytes: http(GET, ['Host: a', 'Transfer-Encoding: chunked'], '0\r\n\r\n'),
  },
  { name: 'GET with Content-Length: 0', bytes: get('Content-Length: 0') },
  { name: 'TRACE', bytes: http('TRACE {target} HTTP/1.1') },
  { name: 'CONNECT', bytes: http('CONNECT a:80 HTTP/1.1') },
  { name: 'a method nobody knows', bytes: http('FOO {target} HTTP/1.1') },
  { name: 'a method in lower case', bytes: http('get {target} HTTP/1.1') },
  { name: 'a method with a control character', bytes: http('G\x01T {target} HTTP/1.1') },
];

const versions: OddRequest[] = [
  { name: 'HTTP/0.9', bytes: 'GET {target}\r\n\r\n' },
  { name: 'HTTP/1.0', bytes: http('GET {target} HTTP/1.0') },
  { name: 'HTTP/1.0 without Host', bytes: http('GET {target} HTTP/1.0', []) },
  {
    name: 'HTTP/1.0 keep-alive',
    bytes: http('GET {target} HTTP/1.0', ['Host: a', 'Connection: keep-alive']),
  },
  {
    name: 'HTTP/1.0 in chunks',
    bytes: http('POST {target} HTTP/1.0', ['Host: a', 'Transfer-Encoding: chunked'], '0\r\n\r\n'),
  },
  { name: 'HTTP/1.2', bytes: http('GET {target} HTTP/1.2') },
  { name: 'HTTP/2.0', bytes: http('GET {target} HTTP/2.0') },
  { name: 'HTTP/3.7', bytes: http('GET {target} HTTP/3.7') },
  { name: 'HTTP/01.1', bytes: http('GET {target} HTTP/01.1') },
  { name: 'HTTP/1.1 with more behind it', bytes: http('GET {target} HTTP/1.1x') },
  { name: 'the version in lower case', bytes: http('GET {target} http/1.1') },
  { name: 'the preface of HTTP/2', bytes: 'PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n' },
  { name: 'garbage', bytes: '\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\r\n\r\n' },
];

const targets: OddRequest[] = [
  { name: 'an absolute target', bytes: target('http://a/odd') },
  { name: 'an absolute target of another host', bytes: target('http://b/odd') },
  { name: 'an absolute target that is no URL', bytes: target('http://[') },
  { name: 'an authority as target', bytes: target('a:80') },
  { name: 'OPTIONS *', bytes: http('OPTIONS * HTTP/1.1') },
  { name: 'GET *', bytes: target('*') },
  { name: 'a target without slash', bytes: target('odd') },
  { name: 'a target of two slashes', bytes: target('//odd') },
  { name: 'two slashes inside a target', bytes: target('/a//odd') },
  { name: 'a backslash', bytes: target('/odd\\..\\x') },
  { name: 'a fragment', bytes: target('/odd#part') },
  { name: 'dot segments', bytes: target('/a/../odd') },
  { name: 'dot segments above the root', bytes: target('/a/../../odd') },
  { name: 'encoded dot segments', bytes: target('/a/%2e%2e/odd') },
  { name: 'dot segments between encoded slashes', bytes: target('/a%2f..%2fodd') },
  { name: 'dot segments with a parameter', bytes: target('/a/..;x/odd') },
  { name: 'dots that are no segment', bytes: target('/a..b/...odd') },
  { name: 'dot segments in the query', bytes: target('/odd?a=/../b') },
  { name: 'an encoded NUL', bytes: target('/odd%00') },
  { name: 'a percent sign that encodes nothing', bytes: target('/odd%zz') },
  { name: 'a space in the target', bytes: target('/odd and more') },
  { name: 'a tab in the target', bytes: target('/odd\tmore') },
  { name: 'a control character in the target', bytes: target('/odd\x01') },
  { name: 'a NUL in the target', bytes: target('/odd\x00') },
  { name: 'DEL in the target', bytes: target('/odd\x7f') },
  { name: 'bytes above ASCII in the target', bytes: target('/odd\xc3\xa9') },
  { name: 'quotes and brackets in the target', bytes: target('/odd<">{|}[]^`') },
  { name: 'a target of 20 KB', bytes: target(`/${'a'.repeat(20_000)}`) },
  { name: 'no target', bytes: 'GET  HTTP/1.1\r\nHost: a\r\n\r\n' },
];

const lineEnds: OddRequest[] = [
  { name: 'bare line feeds', bytes: 'GET {target} HTTP/1.1\nHost: a\n\n' },
  { name: 'a bare line feed behind one header line', bytes: `${GET}\r\nHost: a\nX: 1\r\n\r\n` },
  { name: 'a bare carriage return behind the start line', bytes: `${GET}\rHost: a\r\n\r\n` },
  { name: 'a bare carriage return in a value', bytes: get('X: 1\r2') },
  { name: 'a header that ends with CR LF LF', bytes: `${GET}\r\nHost: a\r\n\n` },
  { name: 'an empty line before the request', bytes: `\r\n${http(GET)}` },
  { name: 'many empty lines before the request', bytes: `${'\r\n'.repeat(20)}${http(GET)}` },
  { name: 'a space before the method', bytes: ` ${http(GET)}` },
  { name: 'two spaces in the start line', bytes: http('GET  {target}  HTTP/1.1') },
  { name: 'a space behind the version', bytes: http(`${GET} `) },
  { name: 'tabs in the start line', bytes: http('GET\t{target}\tHTTP/1.1') },
];

const hostHeaders: OddRequest[] = [
  { name: 'no Host', bytes: http(GET, []) },
  { name: 'an empty Host', bytes: hosts('') },
  { name: 'two Hosts', bytes: hosts('a', 'b') },
  { name: 'two equal Hosts', bytes: hosts('a', 'a') },
  { name: 'two Hosts, one in capitals', bytes: http(GET, ['Host: a', 'HOST: b']) },
  { name: 'a Host with a path', bytes: hosts('x/../y') },
  { name: 'a Host with a user', bytes: hosts('user@a') },
  { name: 'a Host with a space', bytes: hosts('a b') },
  { name: 'a Host of two names', bytes: hosts('a, b') },
  { name: 'a Host with letters as port', bytes: hosts('a:b') },
  { name: 'a Host with a port above 65535', bytes: hosts('a:123456') },
  { name: 'a Host in brackets', bytes: hosts('[::1]:80') },
  { name: 'a Host in broken brackets', bytes: hosts('[::1') },
  { name: 'a Host of bytes above ASCII', bytes: hosts('\xc3\xa9') },
  { name: 'a Host with two dots', bytes: hosts('a..b') },
];

const headerSyntax: OddRequest[] = [
  { name: 'a space before a colon', bytes: get('X : 1') },
  { name: 'a header line without colon', bytes: get('no colon here') },
  { name: 'a header without name', bytes: get(': 1') },
  { name: 'a folded value', bytes: get('X: 1\r\n 2') },
  { name: 'a folded first line', bytes: http(GET, [' X: 1', 'Host: a']) },
  { name: 'a NUL in a value', bytes: get('X: 1\x002') },
  { name: 'a control character in a value', bytes: get('X: 1\x012') },
  { name: 'bytes above ASCII in a value', bytes: get('X: \xc3\xa9\xff') },
  { name: 'brackets in a name', bytes: get('X(y): 1') },
  { name: 'bytes above ASCII in a name', bytes: get('X\xe9: 1') },
  { name: 'a name with underscores', bytes: get('X_Y: 1') },
  { name: 'a header named __proto__', bytes: get('__proto__: 1') },
  { name: 'tabs and spaces round a value', bytes: get('X:\t 1 \t') },
  { name: 'a header of 20 KB', bytes: get(`X: ${'x'.repeat(20_000)}`) },
  { name: '90 header lines', bytes: get(...fill(89)) },
  { name: '150 header lines', bytes: get(...fill(149)) },
  { name: '1200 header lines', bytes: get(...fill(1199)) },
  {
    name: '1200 header lines with chunks in the last',
    bytes: http(
      GET,
      ['Host: a', ...Array.from({ length: 1199 }, () => 'a: b'), 'Transfer-Encoding: chunked'],
      `${SMUGGLED.length.toString(16)}\r\n${SMUGGLED}\r\n0\r\n\r\n`,
    ),
  },
  {
    name: 'forged forwarding headers',
    bytes: get('X-Forwarded-For: 6.6.6.6', 'X_Forwarded_For: 6.6.6.6', 'Forwarded: for=6.6.6.6'),
  },
];

const lengths: OddRequest[] = [
  '5, 5',
  '+5',
  '-5',
  '0x5',
  '5 5',
  '5;',
  '',
  '5.0',
  '18446744073709551621',
  '99999999999999999999999999',
].map((value) => ({
  name: `Content-Length: "${value}"`,
  bytes: http(POST, ['Host: a', `Content-Length: ${value}`], 'hello'),
}));

const encodings: OddRequest[] = [
  'identity',
  'identity, chunked',
  'gzip, chunked',
  'chunked, gzip',
  'chunked, chunked',
  'xchunked',
  '"chunked"',
  'chunked;q=1',
  'chunked,',
  ',chunked',
  '\tchunked',
  'chunked\x0b',
  '\r\n chunked',
  'CHUNKED',
  '',
].map((value) => ({
  name: `Transfer-Encoding: ${JSON.stringify(value)}`,
  bytes: framed(`Transfer-Encoding: ${value}`),
}));

const framing: OddRequest[] = [
  {
    name: 'a length before chunks',
    bytes: framed('Content-Length: 15', 'Transfer-Encoding: chunked'),
  },
  {
    name: 'chunks before a length',
    bytes: framed('Transfer-Encoding: chunked', 'Content-Length: 15'),
  },
  {
    name: 'a short length and chunks that hide a request',
    bytes: http(
      POST,
      ['Host: a', 'Content-Length: 5', 'Transfer-Encoding: chunked'],
      `0\r\n\r\n${SMUGGLED}`,
    ),
  },
  { name: 'the length twice', bytes: framed('Content-Length: 15', 'Content-Length: 15') },
  { name: 'two lengths', bytes: framed('Content-Length: 15', 'Content-Length: 5') },
  {
    name: 'chunks twice',
    bytes: framed('Transfer-Encoding: chunked', 'Transfer-Encoding: chunked'),
  },
  {
    name: 'identity and chunks in two lines',
    bytes: framed('Transfer-Encoding: identity', 'Transfer-Encoding: chunked'),
  },
  {
    name: 'a space between Transfer-Encoding and colon',
    bytes: framed('Transfer-Encoding : chunked'),
  },
  {
    name: 'Transfer_Encoding beside a length',
    bytes: http(POST, ['Host: a', 'Transfer_Encoding: chunked', 'Content-Length: 5'], 'hello'),
  },
  {
    name: 'a length with leading zeros',
    bytes: http(POST, ['Host: a', 'Content-Length: 005'], 'hello'),
  },
];

const chunkSyntax: OddRequest[] = [
  { name: 'leading zeros in a chunk size', bytes: chunks('0005\r\nhello\r\n0\r\n\r\n') },
  { name: 'a chunk size with 0x', bytes: chunks('0x5\r\nhello\r\n0\r\n\r\n') },
  { name: 'a space before a chunk size', bytes: chunks(' 5\r\nhello\r\n0\r\n\r\n') },
  { name: 'a space behind a chunk size', bytes: chunks('5 \r\nhello\r\n0\r\n\r\n') },
  { name: 'a negative chunk size', bytes: chunks('-5\r\nhello\r\n0\r\n\r\n') },
  { name: 'no chunk size', bytes: chunks('\r\nhello\r\n0\r\n\r\n') },
  { name: 'a chunk size of 17 digits', bytes: chunks('10000000000000005\r\nhello\r\n0\r\n\r\n') },
  { name: 'a chunk extension', bytes: chunks('5;a=b\r\nhello\r\n0\r\n\r\n') },
  { name: 'a chunk extension that hides a request', bytes: chunks(`0;\n${SMUGGLED}`) },
  { name: 'a line feed behind a chunk size', bytes: chunks('5\nhello\r\n0\r\n\r\n') },
  { name: 'a carriage return behind a chunk size', bytes: chunks('5\rhello\r\n0\r\n\r\n') },
  { name: 'no line end behind a chunk', bytes: chunks('5\r\nhello0\r\n\r\n') },
  { name: 'a chunk longer than its size', bytes: chunks('3\r\nhello\r\n0\r\n\r\n') },
  { name: 'trailers', bytes: chunks('5\r\nhello\r\n0\r\nX-Trailer: 1\r\n\r\n') },
  {
    name: 'trailers that frame and route',
    bytes: chunks('0\r\nContent-Length: 50\r\nHost: b\r\n\r\n'),
  },
  { name: 'a last chunk without an end of trailers', bytes: chunks(`0\r\n${SMUGGLED}`) },
  {
    name: 'a chunk extension of 20 KB',
    bytes: chunks(`5;${'x'.repeat(20_000)}\r\nhello\r\n0\r\n\r\n`),
  },
];

const hopByHop: OddRequest[] = [
  { name: 'Connection that lists Host', bytes: get('Connection: Host, keep-alive') },
  {
    name: 'Connection that lists Content-Length',
    bytes: http(POST, ['Host: a', 'Connection: Content-Length', 'Content-Length: 5'], 'hello'),
  },
  {
    name: 'Connection that lists an ordinary header',
    bytes: get('Connection: X-Secret', 'X-Secret: 1'),
  },
  {
    name: 'a request behind Connection: close',
    bytes: get('Connection: close') + SMUGGLED,
  },
  { name: 'Connection that contradicts itself', bytes: get('Connection: close, keep-alive') },
  {
    name: 'Keep-Alive, TE and Proxy-Connection',
    bytes: get('Keep-Alive: timeout=5', 'TE: trailers', 'Proxy-Connection: keep-alive'),
  },
  { name: 'Trailer on a GET', bytes: get('Trailer: q') },
  {
    name: 'Expect: 100-continue',
    bytes: http(POST, ['Host: a', 'Expect: 100-continue', 'Content-Length: 5'], 'hello'),
  },
  {
    name: 'an expectation nobody knows',
    bytes: http(POST, ['Host: a', 'Expect: magic', 'Content-Length: 5'], 'hello'),
  },
  { name: 'Upgrade without Connection', bytes: get('Upgrade: websocket') },
  { name: 'Connection: upgrade without Upgrade', bytes: get('Connection: upgrade') },
  {
    name: 'an upgrade to h2c',
    bytes: get(
      'Connection: Upgrade, HTTP2-Settings',
      'Upgrade: h2c',
      'HTTP2-Settings: AAMAAABkAAQAAP__',
    ),
  },
];

const upgrades: OddRequest[] = [
  { name: 'a WebSocket handshake', bytes: http(GET, [...WEBSOCKET, KEY]) },
  { name: 'a WebSocket handshake without key', bytes: http(GET, WEBSOCKET) },
  { name: 'a WebSocket handshake with two keys', bytes: http(GET, [...WEBSOCKET, KEY, KEY]) },
  {
    name: 'a WebSocket handshake with a short key',
    bytes: http(GET, [...WEBSOCKET, 'Sec-WebSocket-Key: eA==']),
  },
  {
    name: 'a WebSocket handshake of version 99',
    bytes: http(GET, [...WEBSOCKET.slice(0, -1), KEY, 'Sec-WebSocket-Version: 99']),
  },
  { name: 'a WebSocket handshake by POST', bytes: http(POST, [...WEBSOCKET, KEY]) },
  {
    name: 'a WebSocket handshake on HTTP/1.0',
    bytes: http('GET {target} HTTP/1.0', [...WEBSOCKET, KEY]),
  },
  {
    name: 'a WebSocket handshake with a body that hides a request',
    bytes: http(GET, [...WEBSOCKET, KEY, `Content-Length: ${String(SMUGGLED.length)}`], SMUGGLED),
  },
  {
    name: 'a WebSocket handshake in chunks',
    bytes: http(GET, [...WEBSOCKET, KEY, 'Transfer-Encoding: chunked'], '0\r\n\r\n'),
  },
];

const sequences: OddRequest[] = [
  { name: 'two requests at once', bytes: http(GET) + http(GET), holds: 2 },
  { name: '500 requests at once', bytes: http(GET).repeat(500), holds: 500 },
  {
    name: 'a POST and a GET at once',
    bytes: http(POST, ['Host: a', 'Content-Length: 5'], 'hello') + http(GET),
    holds: 2,
  },
  { name: 'a request and garbage at once', bytes: `${http(GET)}garbage\r\n\r\n` },
  {
    name: 'a request behind a body of length 0',
    bytes: http(POST, ['Host: a', 'Content-Length: 0']) + http(GET),
    holds: 2,
  },
].map((request) => ({ ...request, raced: true }));

const endless: OddRequest[] = [
  { name: 'silence', bytes: '' },
  { name: 'half a start line', bytes: 'GET /od' },
  { name: 'half a header', bytes: `${GET}\r\nHost: a\r\nX: ` },
  { name: 'half a body', bytes: http(POST, ['Host: a', 'Content-Length: 50'], 'hello') },
  { name: 'half a chunk', bytes: chunks('5\r\nhel') },
  { name: 'chunks without a last one', bytes: chunks('5\r\nhello\r\n') },
  { name: 'a header that ends in a bare carriage return', bytes: `${GET}\r\nHost: a\r` },
].map((request) => ({ ...request, holds: 0, endless: true }));

/** The whole corpus; every name stands once. */
export const ODD_REQUESTS: readonly OddRequest[] = [
  ...methods,
  ...versions,
  ...targets,
  ...lineEnds,
  ...hostHeaders,
  ...headerSyntax,
  ...lengths,
  ...encodings,
  ...framing,
  ...chunkSyntax,
  ...hopByHop,
  ...upgrades,
  ...sequences,
  ...endless,
];
