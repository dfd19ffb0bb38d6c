/** What a router has counted since it started; shown by the admin listener. */
export class Counters {
  /** Handshakes that gave a client a session. */
  handshakes = 0;
  /** Handshakes that an upstream answered with something else than a session (401, an HTML page). */
  handshakesRefused = 0;
  /** Handshakes that ended in an error of the router's. */
  handshakesFailed = 0;
  /** Handshakes made again on another upstream after a failure that the client never saw. */
  handshakesRetried = 0;
  /** Handshakes made again because their sid belonged to another upstream's living session. */
  collisions = 0;
  /** Sessions released to their clients while the store could not take the binding. */
  unpublishedBindings = 0;
  /** Polls and POSTs sent to the owner of their session. */
  sessionRequests = 0;
  /** Requests whose sid nobody knows. */
  unknownSids = 0;
  /** Sessions that their own upstream no longer knew. */
  lostSessions = 0;
  /** Upgrades sent to an upstream. */
  upgrades = 0;
  /** Upgrades that became a tunnel. */
  tunnels = 0;
  /** Requests that the router itself refused, malformed ones included. */
  refused = 0;
}
