/** All-in prices of the chosen day on the calendar's axis. */
import { stepPath } from "../ui/chart";
import type { Row } from "./model";

export function PriceStrip({ row, from, to }: { row: Row; from: number; to: number }) {
  const known = row.price.filter((price) => price !== null);
  if (!known.length) return <div className="strip" />;
  const [low, high] = [Math.min(...known), Math.max(...known)];
  const y = (price: number) => 37 - ((price - low) / Math.max(high - low, 1)) * 33;
  const line = stepPath(row.price, (slot) => slot, y);
  const area = line
    .split("M")
    .filter(Boolean)
    .map((part) => {
      const end = part.match(/H([0-9.]+)$/)![1];
      const start = part.split(" ")[0];
      return `M${part}L${end} 40H${start}Z`;
    })
    .join("");
  return (
    <svg
      className="strip"
      viewBox={`0 0 ${row.price.length} 40`}
      preserveAspectRatio="none"
      aria-hidden="true"
      focusable="false"
    >
      <rect className="span" x={from} width={to - from} height="40" />
      <path className="area" d={area} />
      <path className="line" d={line} vectorEffect="non-scaling-stroke" />
    </svg>
  );
}
