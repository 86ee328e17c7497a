/** A file with the evidence of one agreement, checked here without service and chain. */
import { useState } from "react";
import { useTimes } from "../api/queries";
import { whole as count } from "../format";
import { usePreferences } from "../prefs";
import { Problem } from "../ui/act";
import { Badge, Card } from "../ui/kit";
import { checkPack, type Finding, type PackSlot, parsePack } from "./pack";

interface Result {
  name: string;
  findings: Finding[];
  slots: PackSlot[];
}

export function PackFile() {
  const { text: t, language } = usePreferences();
  const times = useTimes();
  const [result, setResult] = useState<Result | null>(null);
  const [problem, setProblem] = useState<string | null>(null);
  const open = async (file: File | undefined) => {
    setResult(null);
    setProblem(null);
    if (!file) return;
    try {
      setResult({ name: file.name, ...(await checkPack(parsePack(await file.text()))) });
    } catch (error) {
      setProblem(error instanceof Error ? error.message : String(error));
    }
  };
  const failed = result?.findings.filter((finding) => finding.problem) ?? [];
  return (
    <Card title={t.evidence.pack}>
      <p className="note">{t.evidence.packWhy}</p>
      <label className="row">
        {t.evidence.packOpen}
        <input type="file" accept=".json,application/json" onChange={(event) => open(event.target.files?.[0])} />
      </label>
      <Problem text={problem} />
      <div aria-live="polite">
        {result && (
          <>
            <p>
              <Badge tone={failed.length ? "bad" : "good"}>{failed.length ? "✗" : "✓"}</Badge>{" "}
              {failed.length ? t.evidence.failed(failed.length) : t.evidence.passed(result.findings.length)} (
              {result.name})
            </p>
            <Findings list={failed} />
            <ul className="results">
              {result.slots.map((slot) => (
                <li key={slot.start}>
                  {times.moment(slot.start)}:{" "}
                  {t.evidence.packGot(count(slot.deliveredMilliLanes, language), count(slot.matchedWh, language))}
                </li>
              ))}
            </ul>
            <details>
              <summary>{t.evidence.packAll}</summary>
              <Findings list={result.findings} />
            </details>
          </>
        )}
      </div>
    </Card>
  );
}

function Findings({ list }: { list: Finding[] }) {
  return (
    <ul className="results">
      {list.map(({ place, what, problem }, number) => (
        <li key={number}>
          <Badge tone={problem ? "bad" : "good"}>{problem ? "✗" : "✓"}</Badge> {place}: {what}
          {problem && ` (${problem})`}
        </li>
      ))}
    </ul>
  );
}
