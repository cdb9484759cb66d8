"""Training on many nodes, every byte counted: gradients or weights that are averaged, against outputs that are told.

Nodes of synchronized SGD exchange gradients, those of local SGD weights. In cultural evolution (codistillation) a node
keeps its weights and tells the others a discrete summary of its outputs on inputs that all of them can draw; each takes
what it hears as further targets.
"""
