/** The invoice of an order, line by line from the chain; made for printing. */
import { useQueries } from "@tanstack/react-query";
import { useParams } from "wouter";
import { api, type Schemas, take } from "../api/client";
import { useTimes, useZoneName } from "../api/queries";
import { decimal, money, short } from "../format";
import { usePart } from "../i18n/part";
import { usePreferences } from "../prefs";
import { saveFile, toCsv } from "../ui/file";
import { Badge, Card, Facts, Failure, Hex, Loaded, Page, Skeleton, TableFrame } from "../ui/kit";
import { useRuns, useStory } from "./order";
import { words } from "./words";

type Detail = Schemas["AgreementDetail"];

export default function Invoice() {
  const w = usePart(words);
  const { hash = "" } = useParams();
  const story = useStory(hash);
  const runs = useRuns(hash);
  return (
    <Page title={w.invoiceOf(short(hash))} lead={w.invoiceLead}>
      <Loaded query={story} height="10rem">
        {(found) =>
          found && (
            <Loaded query={runs} height="20rem">
              {(items) => <Sheet story={found} names={items.map((item) => item.agreement)} />}
            </Loaded>
          )
        }
      </Loaded>
    </Page>
  );
}

const sum = (detail: Detail, key: "bundle_micro" | "compute_micro" | "power_micro" | "refund_micro") =>
  detail.slots.reduce((total, slot) => total + (slot[key] ?? 0), 0);

function Sheet({ story, names }: { story: Schemas["OrderStory"]; names: string[] }) {
  const { text: t, language } = usePreferences();
  const w = usePart(words);
  const times = useTimes();
  const zoneName = useZoneName();
  const results = useQueries({
    queries: names.map((agreement) => ({
      queryKey: ["agreement", agreement],
      queryFn: ({ signal }: { signal: AbortSignal }) =>
        take(api.GET("/api/v1/agreements/{agreement}", { params: { path: { agreement } }, signal })),
    })),
  });
  const failed = results.find((result) => result.isError);
  if (failed) return <Failure error={failed.error} retry={() => failed.refetch()} />;
  if (results.some((result) => !result.data)) return <Skeleton height="20rem" />;
  const lines = results.map((result) => {
    const detail = result.data!;
    return {
      detail,
      slots: detail.lanes * detail.slots.length,
      delivered: detail.slots.reduce((total, slot) => total + (slot.delivered_milli_lanes ?? 0), 0) / 1000,
      money: [
        sum(detail, "bundle_micro"),
        sum(detail, "compute_micro"),
        sum(detail, "power_micro"),
        sum(detail, "refund_micro"),
        sum(detail, "compute_micro") + sum(detail, "power_micro"),
      ],
    };
  });
  const total = [0, 1, 2, 3, 4].map((index) => lines.reduce((all, line) => all + line.money[index]!, 0));
  const final = results.every((result) =>
    result.data!.slots.every((slot) => slot.state === "settled" || slot.state === "refunded"),
  );
  const heads = [w.price, w.compute, w.power, w.refund, w.due];
  const csv = () =>
    saveFile(
      `invoice-${story.order.order_hash.slice(2, 10)}.csv`,
      "text/csv",
      toCsv([
        ["agreement", "seller", "start", "end", "vcu_slots", "delivered_vcu_slots"].concat([
          "agreed_micro",
          "compute_micro",
          "power_micro",
          "refund_micro",
          "paid_micro",
        ]),
        ...lines.map(({ detail, slots, delivered, money: values }) => [
          detail.agreement,
          detail.seller,
          detail.start,
          detail.end,
          slots,
          delivered,
          ...values,
        ]),
      ]),
    );
  return (
    <div className="stack">
      <Card
        title={<Badge tone={final ? "good" : "warn"}>{final ? w.final : w.notFinal}</Badge>}
        aside={
          <div className="row">
            <button type="button" onClick={() => print()}>
              {w.print}
            </button>
            <button type="button" onClick={csv}>
              {w.csv}
            </button>
          </div>
        }
      >
        <Facts
          items={[
            [w.buyer, <code key="b">{story.order.maker}</code>],
            [t.order.digest, <code key="h">{story.order.order_hash}</code>],
            [t.order.window, `${times.moment(story.order.start)} – ${times.moment(story.order.deadline)}`],
          ]}
        />
        <TableFrame label={w.invoice}>
          <table>
            <thead>
              <tr>
                <th>{w.line}</th>
                <th>{w.seller}</th>
                <th>{t.market.zone}</th>
                <th>{t.order.window}</th>
                <th className="num">{w.quantity}</th>
                <th className="num">{w.delivered}</th>
                {heads.map((head) => (
                  <th key={head} className="num">
                    {head}
                  </th>
                ))}
              </tr>
            </thead>
            <tbody>
              {lines.map(({ detail, slots, delivered, money: values }) => (
                <tr key={detail.agreement}>
                  <td>{detail.agreement}</td>
                  <td>
                    <Hex value={detail.seller} />
                  </td>
                  <td>{zoneName(detail.zone_id)}</td>
                  <td>
                    {times.moment(detail.start)} – {times.hour(detail.end)}
                  </td>
                  <td className="num">{slots}</td>
                  <td className="num">{decimal(delivered, language, 3)}</td>
                  {values.map((value, index) => (
                    <td key={heads[index]} className="num">
                      {money(value, language)}
                    </td>
                  ))}
                </tr>
              ))}
            </tbody>
            <tfoot>
              <tr>
                <th colSpan={6}>{w.total} (BWD)</th>
                {total.map((value, index) => (
                  <td key={heads[index]} className="num">
                    <b>{money(value, language)}</b>
                  </td>
                ))}
              </tr>
            </tfoot>
          </table>
        </TableFrame>
      </Card>
      <Card title={w.proof}>
        <Facts
          items={story.stages.flatMap((stage) =>
            stage.tx_hash ? [[w.stage[stage.stage], <code key={stage.stage}>{stage.tx_hash}</code>] as const] : [],
          )}
        />
      </Card>
    </div>
  );
}
