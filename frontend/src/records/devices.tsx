/** Devices of an asset with what their attestation says. */
import { useQuery } from "@tanstack/react-query";
import { api, type Schemas, take } from "../api/client";
import { chainQuery, useTimes } from "../api/queries";
import { usePreferences } from "../prefs";
import { Badge, Empty, Hex, Loaded, TableFrame, type Tone } from "../ui/kit";

const SOON_SECONDS = 30 * 86_400;
export type Standing = "valid" | "expiring" | "expired" | "simulated";

/** What a badge says of an attestation at chain time `now`. */
export function standingOf(
  device: Pick<Schemas["DeviceOut"], "attested_until" | "evidence_kind">,
  now: number,
): Standing {
  const left = BigInt(device.attested_until) - BigInt(now);
  if (left <= 0n) return "expired";
  if (device.evidence_kind === 0) return "simulated";
  return left < BigInt(SOON_SECONDS) ? "expiring" : "valid";
}

const TONES: Record<Standing, Tone> = { valid: "good", expiring: "warn", expired: "bad", simulated: "plain" };

/** Devices whose kind is one of `kinds` (0 site import, 1 workload, 2 plant). */
export function Devices({ kinds }: { kinds: readonly number[] }) {
  const { text: t } = usePreferences();
  const times = useTimes();
  const chain = useQuery(chainQuery);
  const query = useQuery({
    queryKey: ["devices"],
    queryFn: async ({ signal }) =>
      (await take(api.GET("/api/v1/devices", { params: { query: { limit: 500 } }, signal }))).items,
  });
  const now = chain.data?.timestamp ?? 0;
  return (
    <Loaded query={query} height="14rem">
      {(items) => {
        const shown = items.filter((item) => kinds.includes(item.asset_kind));
        if (!shown.length) return <Empty title={t.asset.noDevices} />;
        return (
          <TableFrame label={t.asset.devices}>
            <table>
              <thead>
                <tr>
                  <th>{t.evidence.meter}</th>
                  <th>{t.asset.kind}</th>
                  <th>{t.asset.asset}</th>
                  <th>{t.asset.attestation}</th>
                  <th>{t.asset.until}</th>
                  <th>{t.asset.measurement}</th>
                </tr>
              </thead>
              <tbody>
                {shown.map((item) => {
                  const standing = standingOf(item, now);
                  return (
                    <tr key={item.meter_id}>
                      <td>{item.meter_id}</td>
                      <td>{t.asset.kinds[item.asset_kind]}</td>
                      <td>#{item.asset_id}</td>
                      <td>
                        <Badge tone={TONES[standing]}>{t.asset.standing[standing]}</Badge>
                      </td>
                      <td>{times.moment(Number(item.attested_until))}</td>
                      <td>
                        <Hex value={item.measurement} />
                      </td>
                    </tr>
                  );
                })}
              </tbody>
            </table>
          </TableFrame>
        );
      }}
    </Loaded>
  );
}
