/** What was sent from here; what is still pending is followed again after a reload. */
import { useQueryClient } from "@tanstack/react-query";
import { useEffect } from "react";
import { Link } from "wouter";
import { useTimes } from "../api/queries";
import { short } from "../format";
import { useText } from "../prefs";
import { Badge, Empty, type Tone } from "../ui/kit";
import { type Fate, forget, useActivity } from "../wallet/activity";
import { useWallet } from "../wallet/context";
import { follow } from "../wallet/follow";
import { Dialog } from "./dialog";

const TONE: Record<Fate, Tone> = { pending: "plain", done: "good", failed: "bad", replaced: "warn", dropped: "warn" };
const followed = new Set<string>();

export default function ActivityDialog({ close }: { close: () => void }) {
  const t = useText();
  const times = useTimes();
  const entries = useActivity();
  const client = useQueryClient();
  const { source, chainId } = useWallet();
  useEffect(() => {
    if (!source) return;
    for (const entry of entries) {
      if (entry.fate !== "pending" || entry.chainId !== chainId || followed.has(entry.hash)) continue;
      followed.add(entry.hash);
      follow(source.provider, entry)
        .then(() => client.invalidateQueries())
        .finally(() => followed.delete(entry.hash));
    }
  }, [entries, source, chainId, client]);
  return (
    <Dialog title={t.activity.title} close={close}>
      <p className="note">{t.activity.lead}</p>
      {entries.length === 0 ? (
        <Empty title={t.activity.none}>{t.activity.noneWhy}</Empty>
      ) : (
        <>
          <ul className="sheets">
            {entries.map((entry) => (
              <li key={entry.hash}>
                <div className="row">
                  <b>{entry.label}</b> <Badge tone={TONE[entry.fate]}>{t.activity.fate[entry.fate]}</Badge>
                </div>
                <small>
                  {times.moment(Math.floor(entry.at / 1000))} ·{" "}
                  <Link href={`/transactions/${entry.hash}`} className="mono" onClick={close}>
                    {short(entry.hash)}
                  </Link>
                </small>
                {entry.fate !== "done" && <p>{t.activity.ended[entry.fate](short(entry.hash))}</p>}
              </li>
            ))}
          </ul>
          <button type="button" onClick={forget}>
            {t.activity.forget}
          </button>
        </>
      )}
    </Dialog>
  );
}
