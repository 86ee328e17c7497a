/** Days x slots as a picture to drag over; each edge of the window is a slider for the keyboard. */
import { memo, type PointerEvent, useRef, useState } from "react";
import { usePreferences } from "../prefs";
import type { Times } from "../time";
import { levelOf, type Metric, moveEdge, moveWhole, type Row, rangeOf, span, valuesOf, type Window } from "./model";

interface Props {
  rows: Row[];
  slots: number;
  slotSeconds: number;
  metric: Metric;
  window: Window;
  times: Times;
  describe: (row: Row, slot: number) => string;
  onWindow: (window: Window) => void;
  onPoint: (at: { day: number; slot: number } | null) => void;
}

/** The coloured cells alone: they change only with the data, not with the pointer. */
const Cells = memo(({ row, metric, range }: { row: Row; metric: Metric; range: [number, number] | null }) => {
  const values = valuesOf(row, metric);
  return (
    <svg viewBox={`0 0 ${values.length || 1} 1`} preserveAspectRatio="none" aria-hidden="true">
      {values.map((value, slot) =>
        value === null || !range ? null : (
          <rect key={slot} x={slot} width="1.02" height="1" fillOpacity={0.07 + 0.93 * levelOf(value, metric, range)} />
        ),
      )}
    </svg>
  );
});

export function Calendar(props: Props) {
  const { rows, slots, metric, window, times, onWindow, onPoint } = props;
  const { text: t } = usePreferences();
  const area = useRef<HTMLDivElement>(null);
  const drag = useRef<{ day: number; anchor: number } | null>(null);
  const [tip, setTip] = useState<{ day: number; slot: number } | null>(null);
  const range = rangeOf(rows, metric);
  const at = (day: number, slot: number) => rows[day]!.start + slot * props.slotSeconds;

  const place = (event: PointerEvent) => {
    const box = area.current!.getBoundingClientRect();
    const day = Math.floor(((event.clientY - box.top) / box.height) * rows.length);
    const slot = Math.floor(((event.clientX - box.left) / box.width) * slots);
    return {
      day: Math.min(Math.max(day, 0), rows.length - 1),
      slot: Math.min(Math.max(slot, 0), slots - 1),
    };
  };
  const down = (event: PointerEvent<HTMLDivElement>) => {
    if (event.button !== 0) return;
    const edge = (event.target as HTMLElement).dataset.edge;
    const point = place(event);
    drag.current = edge
      ? { day: window.day, anchor: edge === "from" ? window.to - 1 : window.from }
      : { day: point.day, anchor: point.slot };
    event.currentTarget.setPointerCapture(event.pointerId);
    if (!edge) onWindow(span(point.day, point.slot, point.slot, slots));
  };
  const move = (event: PointerEvent) => {
    const point = place(event);
    if (drag.current) onWindow(span(drag.current.day, drag.current.anchor, point.slot, slots));
    else if (point.day !== tip?.day || point.slot !== tip.slot) {
      setTip(point);
      onPoint(point);
    }
  };
  const leave = () => {
    setTip(null);
    onPoint(null);
  };

  const hours = [0, 6, 12, 18, 24].map((hour) => Math.round((hour / 24) * slots));
  return (
    <div className={`calendar ${metric}`}>
      <div className="days" aria-hidden="true">
        {rows.map((row, day) => (
          <span key={row.start} className={day === window.day ? "chosen" : undefined}>
            {times.day(row.start + 43_200)}
          </span>
        ))}
      </div>
      <div
        ref={area}
        className="cells"
        onPointerDown={down}
        onPointerMove={move}
        onPointerUp={() => {
          drag.current = null;
        }}
        onPointerCancel={() => {
          drag.current = null;
        }}
        onPointerLeave={leave}
      >
        {rows.map((row) => (
          <Cells key={row.start} row={row} metric={metric} range={range} />
        ))}
        <div
          className="window"
          style={{
            top: `${(window.day / rows.length) * 100}%`,
            height: `${100 / rows.length}%`,
            left: `${(window.from / slots) * 100}%`,
            width: `${((window.to - window.from) / slots) * 100}%`,
          }}
        >
          <Edge {...props} edge="from" label={t.market.edgeFrom} value={at(window.day, window.from)} />
          <Edge {...props} edge="to" label={t.market.edgeTo} value={at(window.day, window.to)} />
        </div>
        {tip && !drag.current && rows[tip.day] && (
          <output
            className={`tip ${tip.slot > slots / 2 ? "left" : "right"}`}
            style={{ top: `${((tip.day + 0.5) / rows.length) * 100}%`, left: `${((tip.slot + 0.5) / slots) * 100}%` }}
          >
            {props.describe(rows[tip.day]!, tip.slot)}
          </output>
        )}
      </div>
      <div className="hours" aria-hidden="true">
        {hours.map((slot) => (
          <span key={slot}>{slot === slots ? "24:00" : times.hour(at(0, slot))}</span>
        ))}
      </div>
    </div>
  );
}

function Edge(props: Props & { edge: "from" | "to"; label: string; value: number }) {
  const { edge, window, slots, rows, times, onWindow } = props;
  const change = (event: React.KeyboardEvent) => {
    const step = { ArrowRight: 1, ArrowLeft: -1, PageUp: 4, PageDown: -4 }[event.key];
    const day = { ArrowDown: 1, ArrowUp: -1 }[event.key];
    if (step === undefined && day === undefined) return;
    event.preventDefault();
    if (day !== undefined) onWindow(moveWhole(window, 0, day, slots, rows.length));
    else if (event.shiftKey) onWindow(moveWhole(window, step!, 0, slots, rows.length));
    else onWindow(moveEdge(window, edge, step!, slots));
  };
  return (
    <div
      className="edge"
      data-edge={edge}
      role="slider"
      tabIndex={0}
      aria-label={props.label}
      aria-valuemin={0}
      aria-valuemax={slots}
      aria-valuenow={window[edge]}
      aria-valuetext={`${times.day(rows[window.day]!.start + 43_200)} ${times.hour(props.value)}`}
      onKeyDown={change}
    />
  );
}
