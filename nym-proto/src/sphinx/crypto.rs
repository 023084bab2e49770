//! The primitives of the packet layer. (protocol: sphinx 1, 3, 7.1)
