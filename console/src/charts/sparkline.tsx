// A line without axes, beside the number that it leads to.
export function Sparkline({ values, width = 88, height = 22 }: { values: readonly (number | null)[]; width?: number; height?: number }) {
  const known = values.filter((value): value is number => value !== null);
  if (known.length < 2) return <span aria-hidden="true" />;
  const high = Math.max(...known, 0) || 1;
  const step = width / Math.max(values.length - 1, 1);
  let path = "", area = "", started = -1;
  const y = (value: number) => height - 2 - (value / high) * (height - 4);
  values.forEach((value, i) => {
    const x = i * step;
    if (value === null) {
      if (started >= 0) area += `L${((i - 1) * step).toFixed(1)} ${height}Z`;
      started = -1;
      return;
    }
    const point = `${x.toFixed(1)} ${y(value).toFixed(1)}`;
    path += `${started < 0 ? "M" : "L"}${point}`;
    area += started < 0 ? `M${x.toFixed(1)} ${height}L${point}` : `L${point}`;
    if (started < 0) started = i;
  });
  if (started >= 0) area += `L${((values.length - 1) * step).toFixed(1)} ${height}Z`;
  return (
    <svg class="sparkline" viewBox={`0 0 ${width} ${height}`} width={width} height={height} preserveAspectRatio="none" aria-hidden="true">
      <path class="sparkline-area" d={area} />
      <path class="sparkline-line" d={path} />
    </svg>
  );
}
