@0xb5a5d3c4e1f20917;
# What the pycapnp contestant calls.

interface Echo {
  echo @0 (value :Int64) -> (value :Int64);
  size @1 (value :Data) -> (size :Int64);
}
