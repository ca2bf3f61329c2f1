# Silhouette topology of LandmarkHMR on the free wild stream, masks of the stream. On your own footage the masks come
# from dataset.masks=dict(type=BlazePoseMasks). The rate is a quarter of that of configs/topology/r18_wild.py; it was
# not tuned.
_base_ = '../source/lifter_wild.py'

evaluator = dict(silhouettes=True)
custom_hooks = [dict(type='MaskFigureHook')]
adapter = dict(
    type='TopologyAdapter', mode='set', iterations=200, batch=16, every=4, fitting_steps=10, fitting_rate=1e-2,
    lr=5e-6, silhouette='chamfer', topology='chamfer', weights=dict(silhouette=1.0, topology=1.0, betas=1e-3, fit=1.0))
