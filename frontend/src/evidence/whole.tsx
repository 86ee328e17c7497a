/** All readings of the interval at once, and the file to take home. */
import { useState } from "react";
import { whole as count } from "../format";
import { usePreferences } from "../prefs";
import { Badge, Card } from "../ui/kit";
import { checkWhole, type Material, type Whole } from "./checks";

export function WholeInterval({ material }: { material: Material }) {
  const { text: t, language } = usePreferences();
  const [done, setDone] = useState<number | null>(null);
  const [result, setResult] = useState<Whole | null>(null);
  const run = async () => {
    setResult(null);
    setDone(0);
    setResult(await checkWhole(material, setDone));
    setDone(null);
  };
  const save = () => {
    const url = URL.createObjectURL(new Blob([material.data as BlobPart], { type: "application/cbor" }));
    const link = document.createElement("a");
    link.href = url;
    link.download = `readings-${material.bundle.start}.cbor`;
    link.click();
    URL.revokeObjectURL(url);
  };
  const lines: [string, boolean][] = result
    ? [
        [t.evidence.allSigned(result.signatures, result.readings), result.signatures === result.readings],
        [t.evidence.rootOf, result.rootOk],
        [t.evidence.outcomesOf, result.outcomesOk],
        [t.evidence.totalsOf, result.totalsOk],
        [t.evidence.evidenceOf, result.evidenceOk],
      ]
    : [];
  return (
    <Card title={t.evidence.whole}>
      <p className="note">{t.evidence.wholeWhy(count(material.leaves.length, language))}</p>
      <div className="row">
        <button type="button" onClick={run} disabled={done !== null}>
          {done === null ? t.evidence.verifyAll : `${done} / ${material.leaves.length}`}
        </button>
        <button type="button" onClick={save}>
          {t.evidence.download}
        </button>
      </div>
      <ul className="results" aria-live="polite">
        {lines.map(([words, ok]) => (
          <li key={words}>
            <Badge tone={ok ? "good" : "bad"}>{ok ? "✓" : "✗"}</Badge> {words}
          </li>
        ))}
      </ul>
    </Card>
  );
}
