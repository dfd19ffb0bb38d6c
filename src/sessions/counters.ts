/** Running totals of a directory. */
export class DirectoryCounters {
  /** Look-ups answered from memory. */
  hits = 0;
  /** Look-ups that asked the store. */
  misses = 0;
  /** Look-ups of sids that nobody holds. */
  unknown = 0;
  /** Handshakes whose sid a living session of another upstream has. */
  collisions = 0;
  /** Bindings that the store had lost. */
  restored = 0;
  /** Touches that found another claim. */
  moved = 0;
  /** Claims that the store could not take at once. */
  unpublished = 0;
}
