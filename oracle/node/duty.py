"""The two sides of reaching one report: leading a turn, and answering the leader."""

from __future__ import annotations

import asyncio
import logging
import time

from backend.chain.errors import ChainError, Reverted
from oracle.node import faults
from oracle.node.consensus import ATTEMPTS, LOCK, VOTE, Committee, Lock, Refusal, tally
from oracle.node.node import Draft, Node, NotTrue
from oracle.node.peers import (
    Answer,
    Certified,
    Proposal,
    decode_certified,
    decode_lock_answer,
    decode_proposal,
    encode_lock,
)
from oracle.wire.errors import WireError
from oracle.wire.keys import sha256
from oracle.wire.reading import decode_envelopes, encode_envelopes
from oracle.wire.signed import SIGNATURE_BYTES, SignedReport, decode_signed_report

TELL_SECONDS = 1.0
log = logging.getLogger("bitwatt.oracle")


# --- answering ------------------------------------------------------------------
async def answer_status(node: Node, body: bytes) -> Answer:
    """What this node is locked on in an epoch."""
    epoch = decode_certified(body).epoch
    lock = node.voter.lock(epoch)
    bundle = node.store.promise(epoch, bundle_name(lock.report)) if lock else None
    if lock is None or bundle is None:
        return Answer("none")
    return Answer("lock", encode_lock(lock, bundle))


async def answer_proposal(node: Node, body: bytes) -> Answer:
    """A vote for a proposal that is true, or why not."""
    proposal = decode_proposal(body)
    epoch, number, content = proposal.epoch, proposal.round_number, sha256(proposal.bundle)
    try:
        draft = await node.examine(proposal.epoch, proposal.bundle, proposal.justification)
        vote = node.voter.vote(
            epoch, number, draft.digest, content, proposal.signature, proposal.justification
        )
        node.suspects.discard(node.committee.leader(proposal.epoch, proposal.round_number))
        return Answer("vote", vote)
    except NotTrue as objection:
        if objection.missing:
            return Answer("missing", encode_envelopes(objection.missing))
        if objection.false and node.committee.proposed(epoch, number, content, proposal.signature):
            node.pass_turn(epoch, number // ATTEMPTS)
        return _refused(node, proposal.epoch, str(objection))
    except Refusal as refusal:
        return _refused(node, proposal.epoch, str(refusal))


async def answer_lock(node: Node, body: bytes) -> Answer:
    """Locks on a certified report this node has examined."""
    message = decode_certified(body)
    draft = _known(node, message)
    if draft is None:
        return _refused(node, message.epoch, "the report is not known here")
    try:
        node.store.keep_promise(message.epoch, bundle_name(draft.digest), draft.bundle)
        vote = node.voter.take_lock(message.epoch, message.round_number, message.report, message.certificate)
        return Answer("vote", vote)
    except Refusal as refusal:
        return _refused(node, message.epoch, str(refusal))


async def answer_sign(node: Node, body: bytes) -> Answer:
    """Signs a decided report this node has examined, once its bundle is in the archive."""
    message = decode_certified(body)
    draft = _known(node, message)
    if draft is None:
        return _refused(node, message.epoch, "the report is not known here")
    try:
        node.archive.put("readings", draft.bundle)
        signature = node.voter.sign(message.epoch, message.round_number, message.report, message.certificate)
        if node.config.fault == "equivocate":
            faults.equivocate(node, draft)
        return Answer("vote", signature)
    except Refusal as refusal:
        return _refused(node, message.epoch, str(refusal))


def bundle_name(report: bytes) -> str:
    """Under which name a locked report's bundle is promised."""
    return f"bundle {report.hex()}"


def _known(node: Node, message: Certified) -> Draft | None:
    draft = node.drafts.get(message.report)
    return draft if draft and draft.report.epoch == message.epoch else None


def _refused(node: Node, epoch: int, reason: str) -> Answer:
    log.info("epoch %d: refused: %s", epoch, reason)
    node.counters["proposals refused"] += 1
    return Answer("refused", reason.encode())


# --- leading --------------------------------------------------------------------
async def lead(node: Node, epoch: int, turn: int) -> bool:
    """Leads one turn of an epoch; True when its report is on chain."""
    for attempt in range(ATTEMPTS):
        round_number = turn * ATTEMPTS + attempt
        if round_number < node.voter.round_of(epoch):
            continue
        justification, bundle = await _highest_lock(node, epoch, turn)
        try:
            draft = await node.examine(epoch, bundle, justification) if bundle else node.draft(epoch)
            if node.config.fault == "lie":
                draft = faults.corrupted(node, draft)
        except (NotTrue, WireError) as error:
            log.warning("epoch %d: the locked report is not acceptable: %s", epoch, error)
            return False
        signature = node.voter.proposal(epoch, round_number, sha256(draft.bundle))
        proposal = Proposal(epoch, round_number, draft.bundle, signature, justification)
        certificate, learned = await _collect_votes(node, proposal, draft, node.patience(turn))
        if certificate is not None:
            return await _finish(node, epoch, round_number, draft, certificate)
        if not learned:
            return False
    return False


async def _highest_lock(node: Node, epoch: int, turn: int) -> tuple[Lock | None, bytes | None]:
    """The highest valid lock any member holds, with its bundle; asked for only after the first turn."""
    best = node.voter.lock(epoch)
    bundle = node.store.promise(epoch, bundle_name(best.report)) if best else None
    if turn == 0 and best is None:
        return None, None
    question = Certified(epoch, 0, bytes(32), b"").encode()
    async for _, answer in node.peers.ask_all("/peer/status", question, node.patience(turn) / 2):
        if answer.word != "lock":
            continue
        try:
            lock, content = decode_lock_answer(answer.payload)
        except WireError:
            continue
        better = best is None or lock.round_number > best.round_number
        if better and node.committee.certifies(VOTE, epoch, lock.round_number, lock.report, lock.certificate):
            best, bundle = lock, content
    return best, bundle


async def _collect_votes(
    node: Node, proposal: Proposal, draft: Draft, seconds: float
) -> tuple[bytes | None, bool]:
    """(certificate or None, whether readings were learned that ask for another proposal)."""
    digest = node.committee.vote_digest(VOTE, proposal.epoch, proposal.round_number, draft.digest)
    votes: list[bytes] = []
    learned = False
    async for _, answer in node.peers.ask_all("/peer/propose", proposal.encode(), seconds):
        if answer.word == "vote":
            votes.append(answer.payload)
            if joined := tally(node.committee, digest, votes):
                return joined, False
        elif answer.word == "missing":
            learned |= _learn(node, answer.payload)
    return None, learned


def _learn(node: Node, payload: bytes) -> bool:
    try:
        return node.ledger.take(decode_envelopes(payload), node.now).accepted > 0
    except WireError:
        return False


async def _collect(
    node: Node,
    path: str,
    message: Certified,
    digest: bytes,
    seconds: float,
    committee: Committee | None = None,
) -> bytes | None:
    """The joined signatures of a quorum over `digest`, None when they do not come in time."""
    votes: list[bytes] = []
    async for _, answer in node.peers.ask_all(path, message.encode(), seconds):
        if answer.word == "vote":
            votes.append(answer.payload)
            if joined := tally(committee or node.committee, digest, votes):
                return joined
    return None


async def _finish(node: Node, epoch: int, round_number: int, draft: Draft, certificate: bytes) -> bool:
    """Lock, sign, submit."""
    seconds = node.patience(round_number // ATTEMPTS)
    digest = node.committee.vote_digest(LOCK, epoch, round_number, draft.digest)
    message = Certified(epoch, round_number, draft.digest, certificate)
    decision = await _collect(node, "/peer/lock", message, digest, seconds)
    if decision is None:
        return False
    message = Certified(epoch, round_number, draft.digest, decision)
    bonded = node.committee.without(node.facts.slashed)
    signatures = await _collect(node, "/peer/sign", message, draft.digest, seconds, bonded)
    if signatures is None:
        return False
    begin = time.monotonic()
    node.archive.put("readings", draft.bundle)
    try:
        await asyncio.to_thread(node.contract.submit, draft.report, signatures)
        node.counters["reports submitted"] += 1
        node.submit_seconds = time.monotonic() - begin
    except Reverted as error:
        log.info("epoch %d: %s", epoch, error)  # another member was quicker, or the next turn tries again
    except ChainError as error:
        log.warning("epoch %d: the report could not be sent: %s", epoch, error)
        return False
    await node.refresh()
    if node.facts.next_epoch <= epoch:
        return False
    node.peers.run(_tell(node, message, draft, signatures))
    return True


async def _tell(node: Node, message: Certified, draft: Draft, signatures: bytes) -> None:
    """Tells everybody of the report under every member's signature.

    One that came too late for the chain still convicts a member who signed another report.
    """
    known = {signatures[at : at + SIGNATURE_BYTES] for at in range(0, len(signatures), SIGNATURE_BYTES)}
    async for _, answer in node.peers.ask_all("/peer/sign", message.encode(), TELL_SECONDS):
        if answer.word == "vote" and len(answer.payload) == SIGNATURE_BYTES:
            known.add(answer.payload)
    news = SignedReport(draft.report, b"".join(sorted(known))).encode()
    await node.peers.tell_all("/peer/news", news, TELL_SECONDS)


async def answer_news(node: Node, body: bytes) -> Answer:
    """Told of a signed report: looks at the chain at once, and whether somebody signed another one."""
    if body:
        node.witness.hear(decode_signed_report(body))
    node.wake.set()
    return Answer("none")
