# Silhouette topology of the free start model on the free wild stream: masks alone, no keypoints. The rates are those of
# a small network, chosen on seed 100 of the stream (docs/en/results/topology.md); results are on seeds 0, 1 and 2.
_base_ = '../source/r18_wild.py'

evaluator = dict(silhouettes=True)
custom_hooks = [dict(type='MaskFigureHook')]
adapter = dict(
    type='TopologyAdapter', mode='set', iterations=200,  # ten passes over a stream of 8 x 40
    batch=16,  # as the paper
    every=4, fitting_steps=10, fitting_rate=1e-2,  # K and MaxIter_opt of Algorithm 1
    lr=2e-5, silhouette='chamfer', topology='chamfer', weights=dict(silhouette=1.0, topology=1.0, betas=1e-3, fit=1.0))
