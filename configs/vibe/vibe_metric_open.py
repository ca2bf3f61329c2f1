# The open VIBE with a metric loss between the clips of a batch: the thesis on few-shot adaptation, section 3.3, frames
# far from the anchor as positives. Others: --cfg-options model.metric.variant=kim, model.metric.nearby=include.
_base_ = './vibe_open.py'
model = dict(metric=dict(type='LogRatioLoss', variant='thesis', nearby='exclude', skip=3), weights=dict(metric=0.1))
