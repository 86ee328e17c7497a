/** The market: when power is green and cheap, and what a bundle in that window costs. */
import { keepPreviousData, useQuery } from "@tanstack/react-query";
import { useState } from "react";
import { useLocation, useSearch } from "wouter";
import { api, type Schemas, take } from "../api/client";
import { classesQuery, useTimes, useZoneName, zonesQuery } from "../api/queries";
import { money, share } from "../format";
import { usePreferences } from "../prefs";
import { Card, Choice, Empty, Loaded, Page, Segments, Skeleton } from "../ui/kit";
import { Bundle } from "./bundle";
import { Calendar } from "./calendar";
import { Curve } from "./curve";
import {
  askOf,
  type MarketState,
  METRICS,
  type Row,
  readState,
  rowsOf,
  slotsPerRow,
  type Window,
  writeState,
} from "./model";
import { QuoteView } from "./quote";
import { PriceStrip } from "./strip";

const SLOTS = 96;

export default function Market() {
  const { text: t } = usePreferences();
  const search = useSearch();
  const state = readState(search, SLOTS);
  const calendar = useQuery({
    queryKey: ["calendar", state.classId],
    queryFn: ({ signal }) =>
      take(api.GET("/api/v1/calendar", { params: { query: { class_id: state.classId } }, signal })),
    placeholderData: keepPreviousData,
    staleTime: 60_000,
  });
  return (
    <Page title={t.market.title} lead={t.market.lead}>
      <Loaded query={calendar} height="38rem">
        {(data) =>
          data.days.some((day) => day.zones.length) ? (
            <Board calendar={data} />
          ) : (
            <Card>
              <Empty title={t.market.nothing}>{t.market.nothingWhy}</Empty>
            </Card>
          )
        }
      </Loaded>
    </Page>
  );
}

function Board({ calendar }: { calendar: Schemas["Calendar"] }) {
  const { text: t, language } = usePreferences();
  const times = useTimes();
  const zoneName = useZoneName();
  const search = useSearch();
  const [, navigate] = useLocation();
  const [point, setPoint] = useState<{ day: number; slot: number } | null>(null);
  const { slot_seconds: slotSeconds } = calendar;
  const slots = slotsPerRow(calendar);
  const state = readState(search, slots);
  const rows = rowsOf(calendar, state.zone);
  const day = Math.max(
    0,
    rows.findIndex(
      (row) => state.day !== null && row.start <= state.day && state.day < row.start + slots * slotSeconds,
    ),
  );
  const row = rows[day]!;
  const change = (part: Partial<MarketState>) =>
    navigate(`?${writeState({ ...readState(location.search, slots), ...part })}`, { replace: true });
  const onWindow = (next: Window) => change({ day: rows[next.day]!.start, from: next.from, to: next.to });
  const window = { day, from: state.from, to: state.to };
  const shownRow = rows[point?.day ?? day]!;
  const slot = point?.slot ?? state.from;
  const moment = shownRow.start + slot * slotSeconds;
  const zone = state.zone ?? bestZone(calendar, shownRow, slot);
  const describe = (at: Row, index: number) => {
    const price = at.price[index];
    const parts = [
      times.hour(at.start + index * slotSeconds),
      `${share(at.green[index] ?? 0, language)} ${t.market.metric.green}`,
    ];
    parts.push(price == null ? t.market.notSold : `${money(price, language)} BWD`);
    if (at.carbon.length) parts.push(`${at.carbon[index]} g/kWh`);
    return parts.join(" · ");
  };
  const known = row.price.filter((price) => price !== null);
  const ask = askOf(state, row.start, slotSeconds);
  return (
    <div className="board">
      <div className="stack">
        <Card>
          <Controls state={state} change={change} />
          <Calendar
            {...{ rows, slots, slotSeconds, times, window, describe, onWindow }}
            metric={state.metric}
            onPoint={setPoint}
          />
          <div className="strip-row">
            <span>
              {t.market.priceOf}{" "}
              <small>
                {known.length > 0 && `${money(Math.min(...known), language)} – ${money(Math.max(...known), language)}`}
              </small>
            </span>
            <PriceStrip row={row} from={state.from} to={state.to} />
          </div>
          <p className="note">
            {row.basis === "cleared" ? t.market.isCleared : t.market.isForecast} ·{" "}
            {t.market.clock(times.zone(row.start))} · {t.market.keys}
          </p>
        </Card>
        <Curve
          batchId={shownRow.batchId}
          zone={zone}
          classId={state.classId}
          slot={shownRow.firstSlot + slot}
          when={`${zoneName(zone)} · ${times.day(shownRow.start + 43_200)} ${times.hour(moment)}`}
        />
      </div>
      <Card title={t.quote.title} className="side">
        <Bundle {...{ state, rows, row, times, slotSeconds, slots, change }} />
        <hr />
        <QuoteView ask={ask} order={`/orders/new?${writeState({ ...state, day: row.start })}`} />
      </Card>
    </div>
  );
}

/** The zone with the greatest green share in a slot: where an order for any zone would look first. */
function bestZone(calendar: Schemas["Calendar"], row: Row, slot: number): number {
  const zones = calendar.days.find((day) => day.batch_id === row.batchId)?.zones ?? [];
  const green = (zone: Schemas["CalendarZone"]) => zone.green_share_bps[row.firstSlot + slot] ?? 0;
  return zones.reduce((a, b) => (green(b) > green(a) ? b : a), zones[0]!)?.zone_id ?? 0;
}

function Controls({ state, change }: { state: MarketState; change: (part: Partial<MarketState>) => void }) {
  const { text: t } = usePreferences();
  const zones = useQuery(zonesQuery);
  const classes = useQuery(classesQuery);
  if (!zones.data || !classes.data) return <Skeleton height="4rem" />;
  return (
    <div className="controls">
      <Choice
        label={t.market.zone}
        value={state.zone ?? -1}
        options={[[-1, t.market.anyZone], ...zones.data.map((zone) => [zone.zone_id, zone.name] as const)]}
        onChange={(zone) => change({ zone: zone < 0 ? null : zone })}
      />
      <Choice
        label={t.market.class}
        value={state.classId}
        options={classes.data.map((row) => [row.class_id, row.name] as const)}
        onChange={(classId) => change({ classId })}
      />
      <div className="ramp-choice">
        <Segments
          label={t.market.colour}
          value={state.metric}
          options={METRICS.map((metric) => [metric, t.market.metric[metric]] as const)}
          onChange={(metric) => change({ metric })}
        />
        <div className={`ramp ${state.metric}`}>
          <span>{t.market.ramp[state.metric][0]}</span>
          <i />
          <span>{t.market.ramp[state.metric][1]}</span>
        </div>
      </div>
    </div>
  );
}
