/** The form beside the calendar: the same window in fields, how much, and how green. */
import { share } from "../format";
import { usePreferences } from "../prefs";
import type { Times } from "../time";
import { Choice, Field } from "../ui/kit";
import { bestWindow, type MarketState, type Row } from "./model";

interface Props {
  state: MarketState;
  rows: Row[];
  row: Row;
  times: Times;
  slotSeconds: number;
  slots: number;
  change: (part: Partial<MarketState>) => void;
}

export function Bundle({ state, rows, row, times, slotSeconds, slots, change }: Props) {
  const { text: t, language } = usePreferences();
  const length = state.to - state.from;
  const run = Math.min(state.run ?? length, length);
  const hour = (slot: number) => (slot === slots ? "24:00" : times.hour(row.start + slot * slotSeconds));
  const options = (first: number, last: number) =>
    Array.from({ length: last - first + 1 }, (_, k) => [first + k, hour(first + k)] as const);
  const seek = (score: (at: Row, slot: number) => number | null) => {
    const found = bestWindow(rows, length, score);
    if (found) change({ day: rows[found.day]!.start, from: found.from, to: found.to });
  };
  const hours = (count: number) => t.quote.hours((count * slotSeconds) / 3600);
  return (
    <div className="bundle">
      <div className="pair">
        <Choice
          label={t.quote.day}
          value={row.start}
          options={rows.map((at) => [at.start, times.day(at.start + 43_200)] as const)}
          onChange={(day) => change({ day })}
        />
        <div className="when">
          <Choice
            label={t.quote.from}
            value={state.from}
            options={options(0, state.to - 1)}
            onChange={(from) => change({ day: row.start, from })}
          />
          <Choice
            label={t.quote.to}
            value={state.to}
            options={options(state.from + 1, slots)}
            onChange={(to) => change({ day: row.start, to })}
          />
        </div>
      </div>
      <div className="row">
        <button type="button" onClick={() => seek((at, slot) => at.green[slot] ?? null)}>
          {t.quote.greenest(hours(length))}
        </button>
        <button type="button" onClick={() => seek((at, slot) => (at.price[slot] == null ? null : -at.price[slot]))}>
          {t.quote.cheapest}
        </button>
      </div>
      <Field label={t.quote.lanes} hint={t.quote.lanesHint}>
        {(id) => (
          <input
            id={id}
            type="number"
            min={1}
            max={65535}
            value={state.lanes}
            onChange={(event) => {
              const lanes = Math.trunc(Number(event.target.value));
              if (lanes >= 1 && lanes <= 65535) change({ lanes });
            }}
          />
        )}
      </Field>
      <Field label={t.quote.run}>
        {(id) => (
          <div className="slider">
            <input
              id={id}
              type="range"
              min={1}
              max={length}
              value={run}
              aria-valuetext={hours(run)}
              onChange={(event) => {
                const value = Number(event.target.value);
                change({ run: value === length ? null : value });
              }}
            />
            <output htmlFor={id}>{hours(run)}</output>
          </div>
        )}
      </Field>
      <Field label={t.quote.leastGreen}>
        {(id) => (
          <div className="slider">
            <input
              id={id}
              type="range"
              min={0}
              max={10_000}
              step={500}
              value={state.greenBps}
              aria-valuetext={share(state.greenBps, language)}
              onChange={(event) => change({ greenBps: Number(event.target.value) })}
            />
            <output htmlFor={id}>{share(state.greenBps, language)}</output>
          </div>
        )}
      </Field>
    </div>
  );
}
