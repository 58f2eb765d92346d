// An order in which neighbours are alike: who sends to the same places stands together. Pure.

/** Of two rows: 1 where they have the same shape, whatever their amounts; 0 where they have nothing in common. */
export function likeness(a: readonly number[], b: readonly number[]): number {
  let product = 0, of_a = 0, of_b = 0;
  for (let i = 0; i < a.length; ++i) {
    product += a[i]! * b[i]!;
    of_a += a[i]! * a[i]!;
    of_b += b[i]! * b[i]!;
  }
  return of_a === 0 || of_b === 0 ? 0 : product / Math.sqrt(of_a * of_b);
}

/**
 * Clusters of rows are joined, the most alike first (average linkage), each to the end that fits better, so that the order
 * of the whole is a walk from like to like. Amounts count by their logarithm, as their colours do.
 * @return  places in `rows`, each once; the largest cluster's walk begins with the row that came first
 */
export function similar_order(rows: readonly (readonly (number | null)[])[]): number[] {
  const weights = rows.map((row) => row.map((value) => Math.log1p(Math.max(0, value ?? 0))));
  const alike = weights.map((a) => weights.map((b) => likeness(a, b)));
  let clusters = rows.map((_, i) => [i]);
  const between = (a: readonly number[], b: readonly number[]) => {
    let sum = 0;
    for (const i of a) for (const j of b) sum += alike[i]![j]!;
    return sum / (a.length * b.length);
  };
  // Likeness of clusters, kept while they stay: n² once, then n a step.
  let near = clusters.map((a) => clusters.map((b) => between(a, b)));
  while (clusters.length > 1) {
    let best = -1, first = 0, second = 1;
    for (let i = 0; i < clusters.length; ++i) {
      for (let j = i + 1; j < clusters.length; ++j) {
        if (near[i]![j]! > best) [best, first, second] = [near[i]![j]!, i, j];
      }
    }
    const joined = join(clusters[first]!, clusters[second]!, alike);
    clusters = clusters.map((cluster, i) => (i === first ? joined : cluster)).filter((_, i) => i !== second);
    near = near.map((row) => row.filter((_, j) => j !== second)).filter((_, i) => i !== second);
    for (let i = 0; i < clusters.length; ++i) near[i]![first] = near[first]![i] = between(clusters[i]!, joined);
  }
  const order = clusters[0] ?? [];
  return order.indexOf(0) > order.length / 2 ? order.reverse() : order;
}

/** End to end, turned so that those that meet are most alike. */
function join(a: readonly number[], b: readonly number[], alike: readonly (readonly number[])[]): number[] {
  const turned = (list: readonly number[]) => [...list].reverse();
  const ways: [readonly number[], readonly number[]][] = [[a, b], [a, turned(b)], [turned(a), b], [turned(a), turned(b)]];
  const meet = ([left, right]: [readonly number[], readonly number[]]) => alike[left[left.length - 1]!]![right[0]!]!;
  const [left, right] = ways.reduce((best, way) => (meet(way) > meet(best) ? way : best));
  return [...left, ...right];
}
