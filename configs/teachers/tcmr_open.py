# The open TCMR teacher. One core: about 5 minutes after the features are computed, see the base.
_base_ = ['../_base_/teacher_training.py', '../_base_/networks/tcmr_open.py']

model = dict(type='TemporalTraining', network=_base_.pop('network'), start=_base_.estimator)
train_dataloader = dict(dataset=dict(estimator=_base_.estimator))
val_dataloader = dict(dataset=dict(estimator=_base_.estimator))
