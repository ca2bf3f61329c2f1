# The real source model R of Rakesh et al. (section 4): Human3.6M with your bodies (MoSh's may not be distributed,
# tools/prepare_dataset.py h36m adds yours) and MPII with its 2D joints alone, as many views of each.
_base_ = './train_surreal.py'

_h36m = dict(type='SPINViews', file='data/spin/h36m_train.npz', image_root='data/h36m', body=_base_.estimator.body,
             resolution=224, weak=True)
train_dataloader = dict(dataset=dict(
    _delete_=True, type='MixedDataset', shares=[1, 1], parts=[
        dict(_h36m, length=60_000), dict(_h36m, file='data/spin/mpii_train.npz', image_root='data/mpii')]))
val_dataloader = dict(dataset=dict(_h36m, _delete_=True, length=1000))
