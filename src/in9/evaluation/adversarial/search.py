"""The early exit: which foregrounds are vulnerable, with as few composites as possible (paper, section 4).

To know who is vulnerable takes far fewer composites than all pairs. A foreground is tried until its first error, first
on the backgrounds that have fooled the largest share of the foregrounds they met. Backgrounds that have met nobody yet
are spread over the foregrounds, so that strong backgrounds show soon. The order decides how many composites are needed,
never the result: a foreground that is not vulnerable has met every background.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from torch import Tensor

TURN = 0.6180339887498949  # the golden section: foregrounds that follow each other begin far apart
ATTACK_RULES = ("untargeted", "targeted")
"""Which answers are errors: any class but the foreground's own, or the background's class if that is another class.
An error by the second rule is also an error by the first."""


class Search:
    """A search that can be stopped and taken up again.

    ``labels`` are the foregrounds' classes, int64 [F], ``goals`` the backgrounds', int64 [B], on one device. For each
    rule ``fallen`` says who is known to be vulnerable, bool [F], and ``fooled`` how many foregrounds each background
    has fooled, int64 [B]. ``met`` says which pairs were tried, bool [F, B], ``composites`` how many, and ``used`` how
    many of each background, int64 [B].
    """

    def __init__(self, labels: Tensor, goals: Tensor) -> None:
        self.labels, self.goals = labels, goals
        device, foregrounds, backgrounds = labels.device, len(labels), len(goals)
        self.met = torch.zeros(foregrounds, backgrounds, dtype=torch.bool, device=device)
        self.tries = torch.zeros(foregrounds, dtype=torch.int64, device=device)
        self.used = torch.zeros(backgrounds, dtype=torch.int64, device=device)
        self.fallen = {rule: torch.zeros(foregrounds, dtype=torch.bool, device=device) for rule in ATTACK_RULES}
        self.fooled = {rule: torch.zeros(backgrounds, dtype=torch.int64, device=device) for rule in ATTACK_RULES}
        self.composites = 0

    def open(self, rule: str) -> Tensor:
        """The foregrounds that are not decided by a rule yet, as positions: int64 [number]."""
        return (~self.fallen[rule] & (self.tries < len(self.goals))).nonzero().flatten()

    def decided_pairs(self, rule: str) -> int:
        """How many of the F x B pairs need not be tried any more; all of them when the search is done."""
        done = torch.where(self.fallen[rule], len(self.goals), self.tries)
        return int(done.sum())

    def step(
        self, answer: Callable[[Tensor, Tensor], Tensor], rule: str, batch_size: int, evenly: bool = False
    ) -> bool:
        """Try one batch; False, and nothing is tried, if every foreground is decided.

        ``answer`` gives the predicted classes int [N] of some pairs, as positions among the foregrounds and among the
        backgrounds, int64 [N] each. In each batch all undecided foregrounds, but at most ``batch_size``, meet the next
        backgrounds that they have not met. Those with the largest share of errors by this rule come first; to rate a
        background that has met few, half an error in one meeting is added. Among equals each foreground begins at
        another position. A batch is full as long as there are pairs, since a network takes longer for each size of
        batch that is new to it; ``evenly`` leaves out the rest, so that all foregrounds meet as many backgrounds.
        """
        under_way = self.open(rule)[:batch_size]
        if len(under_way) == 0:
            return False
        number = len(self.goals)
        share = (self.fooled[rule] + 0.5) / (self.used + 1)
        level = share.unique(return_inverse=True)[1]
        begin = (under_way * TURN % 1 * number).long()
        turn = (torch.arange(number, device=level.device) - begin[:, None]) % number
        promise = (level * number + number - 1 - turn).masked_fill(self.met[under_way], -1)
        share_of_batch = batch_size // len(under_way) if evenly else -(-batch_size // len(under_way))
        best, place = promise.topk(min(share_of_batch, number), dim=1)
        rank, who = (best.T >= 0).nonzero(as_tuple=True)
        rank, who = rank[:batch_size], who[:batch_size]
        rows, columns = under_way[who], place[who, rank]
        answers = answer(rows, columns)
        wrong = answers != self.labels[rows]
        self.met[rows, columns] = True
        self.tries += torch.bincount(rows, minlength=len(self.labels))
        self.used += torch.bincount(columns, minlength=number)
        for name, hit in zip(ATTACK_RULES, (wrong, wrong & (answers == self.goals[columns])), strict=True):
            self.fallen[name][rows[hit]] = True
            self.fooled[name] += torch.bincount(columns[hit], minlength=number)
        self.composites += len(rows)
        return True

    def run(
        self, answer: Callable[[Tensor, Tensor], Tensor], rule: str, batch_size: int, evenly: bool = False
    ) -> np.ndarray:
        """Search until every foreground is decided: who is vulnerable by the rule, bool [F]."""
        while self.step(answer, rule, batch_size, evenly):
            pass
        return self.fallen[rule].cpu().numpy()

    def state(self) -> dict[str, Any]:
        """All that a later ``restore`` needs, as NumPy arrays; the pairs that were tried take a bit each."""
        return {
            "shape": np.array(self.met.shape),
            "met": np.packbits(self.met.cpu().numpy(), axis=1),
            **{f"fallen_{rule}": self.fallen[rule].cpu().numpy() for rule in ATTACK_RULES},
            **{f"fooled_{rule}": self.fooled[rule].cpu().numpy() for rule in ATTACK_RULES},
            "composites": np.array(self.composites),
        }

    def restore(self, state: Any) -> None:
        """Go on from a ``state`` of a search among the same foregrounds and backgrounds.

        Raises KeyError or ValueError for anything else.
        """
        device, shape, stored = self.labels.device, tuple(self.met.shape), tuple(state["shape"].tolist())
        if stored != shape:
            raise ValueError(f"the state is of {stored} foregrounds and backgrounds; expected {shape}")
        self.met = torch.from_numpy(np.unpackbits(state["met"], axis=1, count=shape[1]).astype(bool)).to(device)
        self.tries, self.used = self.met.sum(1), self.met.sum(0)
        for rule in ATTACK_RULES:
            self.fallen[rule] = torch.from_numpy(state[f"fallen_{rule}"]).to(device)
            self.fooled[rule] = torch.from_numpy(state[f"fooled_{rule}"]).to(device)
        self.composites = int(state["composites"])
