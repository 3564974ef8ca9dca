"""How do Tenure's processes use etcd?

`client` asks and writes, `watch` follows a prefix without gaps, `election` and `commit` are leadership and
the chained group commit, `leases` and `registration` are liveness, `keys` names everything. ADR 0001 says
why this is not a package of others.
"""
