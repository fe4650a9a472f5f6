const LOOPBACK = /^(?:localhost|127(?:\.\d{1,3}){3}|\[::1\])$/

/**
 * Whether a request may come from where it says. Only browsers say it: a page of another site can point its own name at
 * this service (DNS rebinding), and then its reader's browser lets it ask here. It cannot know a key, so that whoever has
 * shown one is no such page; where there are no keys, only pages of the reader's own machine may ask.
 */
export function isAllowedOrigin(
  origin: string | undefined,
  { hasShownKey }: { hasShownKey: boolean },
): boolean {
  if (origin === undefined || hasShownKey) return true
  return URL.canParse(origin) && LOOPBACK.test(new URL(origin).hostname)
}
