/** First release of each line with the fixes of July 2026 (CVE-2026-58044 and those before it). */
const FIXED: Readonly<Record<number, string>> = { 22: '22.23.2', 24: '24.18.1', 26: '26.5.1' };

/**
 * What to say about a version of Node with known holes in its HTTP server; undefined if there are
 * none. Lines that are no longer maintained are always affected.
 *
 * @param version - such as `v22.23.2`
 */
export function nodeWarning(version: string): string | undefined {
  const [major = 0, minor = 0, patch = 0] = version.replace(/^v/, '').split('.').map(Number);
  if (major > 26) return undefined;
  const fixed = FIXED[major];
  const advice = `use ${Object.values(FIXED).join(', ')} or later`;
  if (fixed === undefined) {
    return `Node ${version} gets no security fixes for its HTTP server: ${advice}`;
  }
  const [, fixedMinor = 0, fixedPatch = 0] = fixed.split('.').map(Number);
  if (minor > fixedMinor || (minor === fixedMinor && patch >= fixedPatch)) return undefined;
  return `Node ${version} has known security holes in its HTTP server: ${advice}`;
}
