//! Frames in which packets travel from node to node. (protocol: sphinx 12.1)
