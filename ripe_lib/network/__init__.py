"""Everything that is a network: its definition, its weights, and the only places that run one."""
