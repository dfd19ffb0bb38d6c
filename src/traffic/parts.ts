import type { Config } from '../config/config.ts';
import type { Counters } from '../counters.ts';
import type { Relays } from '../forward/relays.ts';
import type { TrustedProxies } from '../forwarding.ts';
import type { Logger } from '../log.ts';
import type { Directory } from '../sessions/directory.ts';
import type { UpstreamPool } from '../upstreams/pool.ts';

/** What comes from the configuration; replaced as a whole by a reload. */
export interface Settings {
  readonly config: Config;
  readonly trustedProxies: TrustedProxies;
}

/** What the handlers of Engine.IO traffic work with; made once by the server. */
export interface Parts {
  settings: Settings;
  readonly pool: UpstreamPool;
  readonly directory: Directory;
  readonly relays: Relays;
  readonly counters: Counters;
  readonly log: Logger;
}
