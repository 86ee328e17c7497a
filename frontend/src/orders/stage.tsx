/** Where an order stands: the stages of its life with when each was reached, and how far. */
import { Link } from "wouter";
import type { Schemas } from "../api/client";
import { useTimes } from "../api/queries";
import { usePart } from "../i18n/part";
import { marksOf } from "./stages";
import { words } from "./words";

type Stage = Schemas["StageOut"];

export function StageBar({ state, stages }: { state: Schemas["OrderOut"]["state"]; stages: Stage[] }) {
  const w = usePart(words);
  const times = useTimes();
  const seen = new Map(stages.map((stage) => [stage.stage, stage]));
  return (
    <ol className="stages" aria-label={w.stages}>
      {marksOf(state, stages).map((mark) => {
        const stage = seen.get(mark.stage as Stage["stage"]);
        return (
          <li key={mark.stage} className={mark.tone} aria-current={mark.now ? "step" : undefined}>
            <b>{w.stage[mark.stage as keyof typeof w.stage]}</b>
            {stage?.at != null && <small>{times.moment(stage.at)}</small>}
            {stage && stage.total > 1 && <Progress stage={stage} />}
            {stage?.tx_hash && (
              <Link href={`/transactions/${stage.tx_hash}`} aria-label={`${w.transaction} ${w.stage[stage.stage]}`}>
                {w.transaction}
              </Link>
            )}
          </li>
        );
      })}
    </ol>
  );
}

function Progress({ stage }: { stage: Stage }) {
  const w = usePart(words);
  return (
    <small>
      <progress max={stage.total} value={stage.done} aria-label={w.stage[stage.stage]} />
      {w.of(stage.done, stage.total)}
    </small>
  );
}
