"""What an unmodified openadr3-client does against our VTN; run by its own Python, prints what it saw as JSON.

Arguments: base URL, VEN client id and secret, business client id and secret.
"""

import json
import sys
from datetime import UTC, datetime, timedelta

from openadr3_client._models.common.interval import Interval
from openadr3_client._models.common.interval_period import IntervalPeriod
from openadr3_client.bl.http_factory import BusinessLogicHttpClientFactory
from openadr3_client.oadr310.models.event.event import NewEvent
from openadr3_client.oadr310.models.event.event_payload import EventPayload, EventPayloadType
from openadr3_client.oadr310.models.program.program import NewProgram
from openadr3_client.oadr310.models.report.report import NewReport, ReportResource
from openadr3_client.oadr310.models.report.report_payload import ReportPayload, ReportPayloadType
from openadr3_client.oadr310.models.resource.resource import NewResourceVenRequest
from openadr3_client.oadr310.models.ven.ven import NewVenVenRequest
from openadr3_client.ven.http_factory import VirtualEndNodeHttpClientFactory
from openadr3_client.version import OADRVersion

base, ven_id, ven_secret, bl_id, bl_secret = sys.argv[1:]
options = {"vtn_base_url": base, "allow_insecure_http": True, "version": OADRVersion.OADR_310}
bl = BusinessLogicHttpClientFactory.create_http_bl_client(client_id=bl_id, client_secret=bl_secret, **options)
ven = VirtualEndNodeHttpClientFactory.create_http_ven_client(
    client_id=ven_id, client_secret=ven_secret, **options
)

registered = ven.vens.create_ven(NewVenVenRequest(ven_name="site-7"))
resource = ven.resources.create_resource(NewResourceVenRequest(resource_name="rack", ven_id=registered.id))
program = bl.programs.create_program(NewProgram(program_name="shed"))
start = datetime(2030, 1, 1, tzinfo=UTC)
period = IntervalPeriod(start=start, duration=timedelta(minutes=15))
payload = EventPayload(type=EventPayloadType.DISPATCH_SETPOINT, values=(-500,))
event = bl.events.create_event(
    NewEvent(
        program_id=program.id,
        event_name="evening",
        interval_period=period,
        intervals=(Interval(id=0, payloads=(payload,)),),
    )
)
hidden = bl.events.create_event(
    NewEvent(
        program_id=program.id,
        event_name="others",
        targets=("zone-9",),
        interval_period=period,
        intervals=(Interval(id=0, payloads=(payload,)),),
    )
)
seen = ven.events.get_events(target=None, pagination=None, program_id=program.id)
usage = ReportPayload(type=ReportPayloadType.USAGE, values=(412.5,))
report = ven.reports.create_report(
    NewReport(
        event_id=event.id,
        client_name="site-7",
        report_name="met",
        resources=(
            ReportResource(
                resource_name="rack", interval_period=period, intervals=(Interval(id=0, payloads=(usage,)),)
            ),
        ),
    )
)
back = bl.reports.get_reports(pagination=None, program_id=None, event_id=event.id, client_name=None)
bl.events.delete_event_by_id(hidden.id)
json.dump(
    {
        "ven": registered.ven_name,
        "resource_ven": resource.ven_id == registered.id,
        "seen": [e.event_name for e in seen],
        "setpoint": seen[0].intervals[0].payloads[0].values[0],
        "start": seen[0].interval_period.start.isoformat(),
        "reports": [r.id == report.id for r in back],
        "usage": back[0].resources[0].intervals[0].payloads[0].values[0],
        "left": [e.event_name for e in bl.events.get_events(target=None, pagination=None, program_id=None)],
    },
    sys.stdout,
)
