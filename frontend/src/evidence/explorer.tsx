/** One reading, its fields to play with, and the steps from it to the chain. */
import { keepPreviousData, useQuery } from "@tanstack/react-query";
import { useState } from "react";
import type { Schemas } from "../api/client";
import { useTimes } from "../api/queries";
import { decimal } from "../format";
import { usePreferences } from "../prefs";
import { Badge, Card, Choice, Facts, Field, Hex } from "../ui/kit";
import { hex, toBigInt } from "../wire/bytes";
import type { Reading } from "../wire/reading";
import { readDevice } from "./chain";
import { checkReading, type Material, type Verdict } from "./checks";
import { archived } from "./page";
import { WholeInterval } from "./whole";

const MARK: Record<Verdict, string> = { pass: "✓", fail: "✗", unknown: "?" };
const U64 = (1n << 64n) - 1n;

interface Props {
  material: Material;
  chain: Schemas["ChainOut"];
  rpcUrl: string | null;
  first: number;
}

export function Explorer({ material, chain, rpcUrl, first }: Props) {
  const { text: t } = usePreferences();
  const [index, setIndex] = useState(first);
  const [edit, setEdit] = useState<Partial<Reading>>({});
  const entry = material.bundle.entries[index]!;
  const original = material.leaves[index]!.reading;
  const reading = { ...original, ...edit };
  const device = useQuery({
    queryKey: ["device", rpcUrl, entry.device.meterId.toString()],
    queryFn: () => readDevice(chain, rpcUrl!, entry.device.meterId),
    enabled: rpcUrl !== null,
  });
  const evidence = useQuery({
    queryKey: ["evidence", hex(entry.device.evidenceHash)],
    queryFn: ({ signal }) => archived("evidence", hex(entry.device.evidenceHash), signal),
    staleTime: Number.POSITIVE_INFINITY,
    retry: false,
  });
  const checked = useQuery({
    queryKey: [
      "checked",
      material.bundle.start.toString(),
      index,
      reading.quantity.toString(),
      reading.register.toString(),
      device.dataUpdatedAt,
      evidence.dataUpdatedAt,
      material.onChain?.root,
    ],
    queryFn: () => checkReading(material, index, reading, device.data ?? null, evidence.data ?? null),
    placeholderData: keepPreviousData,
    structuralSharing: false,
  });
  const steps = checked.data?.steps ?? [];
  const failed = steps.filter((step) => step.verdict === "fail").length;
  const open = steps.filter((step) => step.verdict === "unknown").length;
  const verdict = failed ? "fail" : open ? "unknown" : "pass";
  const choose = (next: number) => {
    setEdit({});
    setIndex(next);
  };
  return (
    <div className="halves">
      <Card>
        <div role="status">
          <h2 className={`verdict ${verdict}`}>
            <span aria-hidden="true">{MARK[verdict]}</span>{" "}
            {failed ? t.evidence.failed(failed) : open ? t.evidence.open(open) : t.evidence.passed(steps.length)}
          </h2>
        </div>
        <ol className="steps">
          {steps.map((step) => (
            <li key={step.name} className={step.verdict}>
              <span className="visually-hidden">{t.evidence.verdict[step.verdict]}</span>
              <b>{t.evidence.step[step.name]}</b>
              <small>{t.evidence.why[step.name]}</small>
              {step.values.map((value) => (
                <code key={value}>{value}</code>
              ))}
            </li>
          ))}
        </ol>
        <details>
          <summary>{t.evidence.path(Math.max((checked.data?.path.length ?? 1) - 1, 0))}</summary>
          <ol className="path">
            {checked.data?.path.map((node) => (
              <li key={node}>
                <code>{node}</code>
              </li>
            ))}
          </ol>
        </details>
      </Card>
      <div className="stack">
        <ReadingCard {...{ material, index, choose, reading, original, edit, setEdit }} />
        <WholeInterval material={material} />
      </div>
    </div>
  );
}

function ReadingCard(props: {
  material: Material;
  index: number;
  choose: (index: number) => void;
  reading: Reading;
  original: Reading;
  edit: Partial<Reading>;
  setEdit: (edit: Partial<Reading>) => void;
}) {
  const { text: t, language } = usePreferences();
  const times = useTimes();
  const { material, index, reading, original, edit, setEdit } = props;
  const entry = material.bundle.entries[index]!;
  const unit = original.kind === 4n ? "ms" : "mWh";
  const change = (name: "quantity" | "register") => (event: React.ChangeEvent<HTMLInputElement>) => {
    if (/^[0-9]{1,20}$/.test(event.target.value) && BigInt(event.target.value) <= U64)
      setEdit({ ...edit, [name]: BigInt(event.target.value) });
  };
  const label = (at: number) => {
    const { kind, meterId, agreementId } = material.leaves[at]!.reading;
    const job = toBigInt(agreementId);
    return `${t.evidence.kind[Number(kind)]} · ${t.evidence.meter} ${meterId}${job ? ` · ${agreementName(job)}` : ""}`;
  };
  const edited = Object.keys(edit).length > 0;
  return (
    <Card title={t.evidence.reading} aside={edited ? <Badge tone="bad">{t.evidence.edited}</Badge> : undefined}>
      <Choice
        label={t.evidence.which(material.leaves.length)}
        value={index}
        options={material.leaves.map((_, at) => [at, label(at)] as const)}
        onChange={props.choose}
      />
      <div className="halves tight">
        {(["quantity", "register"] as const).map((name) => (
          <Field key={name} label={`${t.evidence[name]} (${unit})`}>
            {(id) => <input id={id} inputMode="numeric" value={reading[name].toString()} onChange={change(name)} />}
          </Field>
        ))}
      </div>
      <p className="note">
        {t.evidence.change}{" "}
        <button type="button" className="link" onClick={() => setEdit({})} disabled={!edited}>
          {t.action.reset}
        </button>
      </p>
      <Facts
        items={[
          [
            t.evidence.amount,
            original.kind === 4n
              ? `${decimal(Number(reading.quantity) / 1000, language)} s`
              : `${decimal(Number(reading.quantity) / 1000, language)} Wh`,
          ],
          [t.evidence.interval, `${times.moment(Number(reading.start))} – ${times.hour(Number(reading.end))}`],
          [t.evidence.sequence, reading.seq.toString()],
          [t.evidence.quality, t.evidence.qualities[Number(entry.quality)] ?? entry.quality.toString()],
          [t.evidence.key, <Hex key="x" value={hex(entry.device.x)} />],
          [t.evidence.signature, <Hex key="s" value={hex(entry.signature)} />],
        ]}
      />
    </Card>
  );
}

/** batch-chunk-run of an agreement id. */
const agreementName = (id: bigint) => `${id >> 64n}-${(id >> 32n) & 0xffffffffn}-${id & 0xffffffffn}`;
