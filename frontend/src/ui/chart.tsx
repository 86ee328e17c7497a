/** Small helpers of the SVG charts. */
import { type RefObject, useEffect, useRef, useState } from "react";

/** The element's width in CSS pixels, so that text in a chart keeps its size. */
export function useWidth<T extends HTMLElement>(first = 640): [RefObject<T | null>, number] {
  const ref = useRef<T>(null);
  const [width, setWidth] = useState(first);
  useEffect(() => {
    const node = ref.current;
    if (!node) return;
    const observer = new ResizeObserver(([entry]) => setWidth(Math.max(240, Math.round(entry!.contentRect.width))));
    observer.observe(node);
    return () => observer.disconnect();
  }, []);
  return [ref, width];
}

/** About `count` round numbers from `low` to `high`. */
export function ticks(low: number, high: number, count = 4): number[] {
  if (!(high > low)) return [low];
  const raw = (high - low) / count;
  const power = 10 ** Math.floor(Math.log10(raw));
  const step = [1, 2, 2.5, 5, 10].map((unit) => unit * power).find((value) => value >= raw - 1e-12)!;
  const found: number[] = [];
  for (let k = Math.ceil(low / step - 1e-9); k * step <= high + step * 1e-9; k++)
    found.push(Number((k * step).toPrecision(12)));
  return found;
}

/** An SVG path of steps: one level per column, a gap where there is none. */
export function stepPath(values: readonly (number | null)[], x: (i: number) => number, y: (v: number) => number) {
  let path = "";
  let open = false;
  values.forEach((value, i) => {
    if (value === null) {
      open = false;
      return;
    }
    const level = y(value).toFixed(2);
    path += `${open ? "L" : "M"}${x(i).toFixed(2)} ${level}H${x(i + 1).toFixed(2)}`;
    open = true;
  });
  return path;
}
