// The API's own; tests compare them with the contract's, whose values would bring zod into the page.
export const DEFAULT_STRENGTH = 0.5
export const STRENGTH_STEP = 0.05

/** The least strength on the scale at which one of so many steps is left to draw. */
export function leastStrength(steps: number): number {
  return fromTwentieths(Math.ceil(1 / STRENGTH_STEP / steps))
}

/** The strength that is sent: the one chosen, or else the API's, within what so many steps allow. */
export function effectiveStrength(chosen: number | undefined, steps: number): number {
  return Math.max(chosen ?? DEFAULT_STRENGTH, leastStrength(steps))
}

/** How many of so many steps are drawn from a picture. */
export function drawnSteps(steps: number, strength: number): number {
  return Math.trunc(steps * strength)
}

// Not by sums of 0.05, which do not meet 1.
function fromTwentieths(count: number): number {
  return Math.min(1, count / (1 / STRENGTH_STEP))
}
