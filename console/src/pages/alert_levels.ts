// Where the line of a threshold stands in a chart. Pure.

const COMPARISON = /^\s*(.+?)\s*(>=|<=|>|<)\s*(-?\d+(?:\.\d+)?(?:e[+-]?\d+)?)\s*$/is;

const squeezed = (text: string) => text.replace(/\s+/g, "").toLowerCase();

/**
 * Values that `column` is compared with, of a condition that is comparisons with numbers joined by AND and OR. What is
 * anything else is left out: no line is better than one in a wrong place.
 * @param statement  the rule's text: HAVING has expressions where the result has columns
 */
export function levels_of(condition: string, column: string, statement: string): number[] {
  const levels = new Set<number>();
  const bare = squeezed(statement);
  const wanted = squeezed(column);
  for (const part of condition.split(/\s+(?:AND|OR)\s+/i)) {
    const found = COMPARISON.exec(part);
    if (!found) continue;
    const left = squeezed(found[1]!);
    const named = left === wanted || left === `"${wanted}"`;
    if (named || bare.includes(`${left}as${wanted},`) || bare.includes(`${left}as${wanted}from`)) levels.add(Number(found[3]));
  }
  return [...levels];
}
