"""Fills a fresh Tryton database, in-process: a company, the complaint types, and a REST key of a user who may only sell.

usage: TRYTOND_CONFIG=... seed.py KEY_FILE
"""
import os
import sys

from proteus import Model
from proteus import config as proteus_config

config = proteus_config.set_trytond('erp', user='admin', config_file=os.environ['TRYTOND_CONFIG'])

from trytond.modules.company.tests.tools import create_company  # noqa: E402 (needs the pool)
from trytond.modules.currency.tests.tools import get_currency  # noqa: E402

CATEGORIES = [
    'refund', 'return_exchange', 'delivery', 'order_change', 'billing', 'technical', 'account', 'complaint', 'praise',
    'product_question', 'other']

Party = Model.get('party.party')
shop = Party(name='Factotum Test Shop')
shop.save()
create_company(party=shop, currency=get_currency('USD'))
company, = Model.get('company.company').find()

Type = Model.get('sale.complaint.type')
sale, = Model.get('ir.model').find([('name', '=', 'sale.sale')])
for category in CATEGORIES:
    Type(name=category, origin=sale).save()

# The desk's own user: what it may do is what group "Sales" may do, as an administrator would set it up.
User = Model.get('res.user')
Group = Model.get('res.group')
sales, = Group.find([('name', '=', 'Sales')])
desk = User(name='Factotum', login='factotum')
desk.companies.append(company)
desk.company = company
desk.groups.append(sales)
desk.save()

application = Model.get('res.user.application')(user=desk, application='rest')
application.save()
if application.state != 'validated':
    application.click('validate_')
descriptor = os.open(sys.argv[1], os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
with os.fdopen(descriptor, 'w') as file:
    file.write(application.key)
