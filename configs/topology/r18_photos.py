# Bodies fitted to masks alone, on photographs of one static camera: only the box comes from the keypoints, which also
# measure the result. Network weights stay.
_base_ = '../boa/r18_photos.py'

dataset = dict(masks=dict(type='BackgroundSubtraction'))
evaluator = dict(silhouettes=True)
custom_hooks = [dict(type='MaskFigureHook', frames=20)]
adapter = dict(
    _delete_=True, type='TopologyAdapter', mode='fit', fitting_steps=100, fitting_rate=1e-2, silhouette='chamfer',
    topology='chamfer', weights=dict(silhouette=1.0, topology=1.0, betas=1e-3))
