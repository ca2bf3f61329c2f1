# The synthetic source model S of Rakesh et al. (section 4): full supervision on SURREAL from ImageNet's weights.
# The paper states Adam, a rate of 1e-6 and batches of 16 for the adaptation and nothing for this training: rate, batch
# and losses are those of SPIN's training (Kolotouros et al., 2019); its length, 300k views, is a choice.
_base_ = ['../_base_/train_runtime.py', '../_base_/estimators/latent_r50.py']

_bodies = dict(male='data/body_models/smpl/SMPL_MALE.pkl', female='data/body_models/smpl/SMPL_FEMALE.pkl')
_views = dict(type='SURREALViews', root='data/surreal', body=_base_.estimator.body, bodies=_bodies, resolution=224)
_loading = dict(batch_size=64, num_workers=2, collate_fn=dict(type='default_collate'))
model = dict(
    type='SupervisedTraining',
    estimator=dict(_base_.estimator, backbone_weights='data/imagenet/resnet50-0676ba61.pth'))
train_dataloader = dict(
    **_loading, drop_last=True, sampler=dict(type='DefaultSampler', shuffle=True),
    dataset=dict(_views, split='train', length=60_000))
val_dataloader = dict(
    **_loading, sampler=dict(type='DefaultSampler', shuffle=False), dataset=dict(_views, split='val', length=1000))
val_evaluator = dict(type='ViewError')
val_cfg = dict()
train_cfg = dict(by_epoch=True, max_epochs=5, val_interval=1)
optim_wrapper = dict(optimizer=dict(type='Adam', lr=5e-5))
