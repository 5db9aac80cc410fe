"""Which mutants there are."""

import dataclasses

# Of each kind of call, what may go wrong with it; see tests/mutation/seam/mutation_switch.h.
MUTATIONS = {
    "flush": ("drop", "delay"),
    "fence": ("drop", "delay"),
    "range": ("drop", "no-flush", "no-fence", "delay"),
    "publish": ("drop", "no-persist", "no-flush", "no-fence", "delay"),
    "store": ("swap",),
    "sync": ("drop", "delay"),
}


@dataclasses.dataclass(frozen=True)
class Mutant:
    site: str
    mutation: str

    @property
    def key(self):
        return self.site, self.mutation

    @property
    def path(self):
        return self.site.split(" ")[0]


def all_mutants(sites):
    return [
        Mutant(name, mutation)
        for name, site in sorted(sites.items())
        for mutation in MUTATIONS[site.kind]
    ]


def switch(program, chains, mutation):
    """MORSEL_MUTANT for a program that reaches a site by these chains."""
    texts = sorted(",".join(f"{address:x}" for address in chain) for chain in chains)
    return f"{program}:{mutation}:{';'.join(texts)}"
