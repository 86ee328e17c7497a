/** The marks of the stage bar. Pure. */
import type { Schemas } from "../api/client";

type State = Schemas["OrderOut"]["state"];
type Stage = Pick<Schemas["StageOut"], "stage" | "done" | "total">;

export interface Mark {
  stage: string;
  tone: "" | "done" | "part" | "bad";
  now: boolean;
}

const PATH = ["open", "cleared", "delivering", "reported", "settled", "retired"] as const;

/** The way from open to retired with what is reached; an order that left it ends with the stage it left to. */
export function marksOf(state: State, stages: readonly Stage[]): Mark[] {
  const seen = new Map(stages.map((stage) => [stage.stage as string, stage]));
  if (state === "cancelled" || state === "expired")
    return [
      { stage: "open", tone: "done", now: false },
      { stage: state, tone: "bad", now: true },
    ];
  const marks: Mark[] = PATH.filter((stage) => !(stage === "settled" && state === "refunded")).map((stage) => {
    const reached = seen.get(stage);
    const tone = stage === "open" ? "done" : !reached ? "" : reached.done < reached.total ? "part" : "done";
    return { stage, tone, now: false };
  });
  for (const stage of ["disputed", "refunded"]) {
    if (!seen.has(stage) && !(stage === "refunded" && state === "refunded")) continue;
    const at = stage === "disputed" ? marks.findIndex((mark) => mark.stage === "settled") : -1;
    marks.splice(
      at < 0 ? (stage === "refunded" ? marks.findIndex((mark) => mark.stage === "retired") : marks.length) : at,
      0,
      {
        stage,
        tone: "bad",
        now: false,
      },
    );
  }
  const last = marks.reduce((best, mark, index) => (mark.tone ? index : best), 0);
  marks[last]!.now = true;
  return marks;
}
