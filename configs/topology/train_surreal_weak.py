# The source model S with weak supervision: SURREAL with bodies and MPII with its 2D joints alone, as many of each.
_base_ = './train_surreal.py'

train_dataloader = dict(dataset=dict(
    _delete_=True, type='MixedDataset', shares=[1, 1], parts=[
        _base_.train_dataloader.dataset,
        dict(type='SPINViews', file='data/spin/mpii_train.npz', image_root='data/mpii', body=_base_.estimator.body,
             resolution=224, weak=True)]))
