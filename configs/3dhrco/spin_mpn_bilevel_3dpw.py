# 3DHR-Co with BOA's bilevel steps in place of DynaBOA's ("Reg. Blv." of Figure 4).
_base_ = ['../source/spin_3dpw.py', '../_base_/adapters/pre_adapt_paper.py', '../_base_/adapters/bilevel_paper.py']

adapter = dict(type='Regeneration', pre=_base_.pop('pre_adapt'), online=_base_.pop('bilevel'))
