// What is another in the second of two texts, line by line. Pure.

export interface Change {
  kind: "same" | "gone" | "new";
  text: string;
  /** Line numbers from 1; null: the text has no such line. */
  before: number | null;
  after: number | null;
}

/** Of so many lines on both sides the middle is compared line by line; more of it are all gone and all new. */
const CELLS_MAX = 4_000_000;

/**
 * The longest common subsequence of lines, gone lines before new ones. What both begin and end with is set aside first,
 * so that texts of thousands of lines with few changes cost little.
 */
export function diff_of(before: string, after: string): Change[] {
  const a = before.split("\n"), b = after.split("\n");
  let head = 0;
  while (head < a.length && head < b.length && a[head] === b[head]) ++head;
  let tail = 0;
  while (tail < a.length - head && tail < b.length - head && a[a.length - 1 - tail] === b[b.length - 1 - tail]) ++tail;
  const rows = a.length - head - tail, columns = b.length - head - tail;
  const changes: Change[] = [];
  const same = (i: number, j: number) => changes.push({ kind: "same", text: a[i]!, before: i + 1, after: j + 1 });
  for (let i = 0; i < head; ++i) same(i, i);
  let i = 0, j = 0;
  const gone = () => changes.push({ kind: "gone", text: a[head + i]!, before: head + ++i, after: null });
  const added = () => changes.push({ kind: "new", text: b[head + j]!, before: null, after: head + ++j });
  if (rows * columns <= CELLS_MAX) {
    // common[r][c]: the length of the longest of what is left from r and c on.
    const width = columns + 1;
    const common = new Uint32Array((rows + 1) * width);
    for (let r = rows - 1; r >= 0; --r) {
      for (let c = columns - 1; c >= 0; --c) {
        common[r * width + c] = a[head + r] === b[head + c] ? common[(r + 1) * width + c + 1]! + 1 : Math.max(common[(r + 1) * width + c]!, common[r * width + c + 1]!);
      }
    }
    while (i < rows && j < columns) {
      if (a[head + i] === b[head + j]) same(head + i++, head + j++);
      else if (common[(i + 1) * width + j]! >= common[i * width + j + 1]!) gone();
      else added();
    }
  }
  while (i < rows) gone();
  while (j < columns) added();
  for (let k = tail; k > 0; --k) same(a.length - k, b.length - k);
  return changes;
}

/** Changes with so many lines around them; a number stands for the lines that are left out there. */
export function near_changes(changes: readonly Change[], around: number): (Change | number)[] {
  const shown = changes.map(() => false);
  changes.forEach((change, i) => {
    if (change.kind !== "same") for (let k = Math.max(0, i - around); k <= Math.min(changes.length - 1, i + around); ++k) shown[k] = true;
  });
  const found: (Change | number)[] = [];
  let left_out = 0;
  changes.forEach((change, i) => {
    if (shown[i]) {
      if (left_out > 0) found.push(left_out);
      left_out = 0;
      found.push(change);
    } else ++left_out;
  });
  if (left_out > 0) found.push(left_out);
  return found;
}
