/**
 * True if a text message of the client is the packet that finishes its upgrade (`5`). It comes after
 * `2probe` and the server's `3probe`; until then the session lives on polling, from then on the
 * client sends nothing of it over HTTP. Servers do not insist on the probe before it.
 */
export function isUpgradePacket(text: string): boolean {
  return text === '5';
}
